package sync

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/lanyardhq/lanyard/server/status"
)

func TestFactsTellTheObjectsAndNoValue(t *testing.T) {
	g := newRig(t)
	facts := func() status.Synced {
		t.Helper()
		all := g.reconciler.shared.Metrics.facts()
		text, err := json.Marshal(all)
		if err != nil || strings.Contains(string(text), "planted") {
			t.Errorf("%v: %s", err, text)
		}
		if len(all) != 1 {
			t.Fatalf("facts of %d objects", len(all))
		}
		return all[0]
	}
	if all := g.reconciler.shared.Metrics.facts(); all == nil || len(all) != 0 {
		t.Errorf("before the first %+v", all)
	}
	g.run()
	want := []status.SyncedSecret{{Name: "db", Written: noon}}
	if f := facts(); f.State != status.SyncedOK || f.Kind != "class" || f.Namespace != "shop" || f.Name != "web" || !f.Since.Equal(noon) || !f.Worked.Equal(noon) || !slices.Equal(f.Secrets, want) {
		t.Errorf("%+v", f)
	}
	g.now, g.failure = noon.Add(time.Hour), errors.New("vault:\npermission denied")
	g.run()
	if f := facts(); f.State != status.SyncedFailed || f.Reason != string(ReasonProvider) || f.Error != "vault: permission denied" || !f.Since.Equal(g.now) || !f.Worked.Equal(noon) || !slices.Equal(f.Secrets, want) {
		t.Errorf("failing %+v", f)
	}
	g.failure = nil
	g.run()
	if f := facts(); f.State != status.SyncedOK || f.Error != "" || f.Reason != "" {
		t.Errorf("fixed %+v", f)
	}
	g.want = nil
	g.run()
	if all := g.reconciler.shared.Metrics.facts(); len(all) != 0 {
		t.Errorf("gone %+v", all)
	}
}

// An object that the API server does not serve fails in the facts until it does, though
// nothing is known of the object itself.
func TestFactsTellOfAnAPIServerThatDoesNotServe(t *testing.T) {
	g := newRig(t)
	facts := func() status.Synced {
		t.Helper()
		all := g.reconciler.shared.Metrics.facts()
		if len(all) != 1 {
			t.Fatalf("facts of %d objects", len(all))
		}
		return all[0]
	}
	g.run()
	g.report = forbidden("patch", "secretproviderclasses")
	began := noon.Add(time.Hour)
	for i := range 3 {
		g.now = began.Add(time.Duration(i) * time.Minute)
		g.run()
		if f := facts(); f.State != status.SyncedFailed || f.Reason != "APIServer" || !strings.Contains(f.Error, "cannot patch resource") || !f.Since.Equal(began) {
			t.Errorf("without the right %+v", f)
		}
	}
	g.report = nil
	g.run()
	if f := facts(); f.State != status.SyncedOK || f.Error != "" {
		t.Errorf("with the right again %+v", f)
	}
}

func TestRefusalsAreForgottenOnceTheListsAreServed(t *testing.T) {
	now := noon
	r := NewRefusals(func() time.Time { return now })
	r.Note(errors.New("connection refused"))
	r.Note(apierrors.NewNotFound(schema.GroupResource{Resource: "secretsyncs"}, ""))
	if all := r.problems(now); len(all) > 0 {
		t.Errorf("what is no refusal: %+v", all)
	}
	for range 3 {
		r.Note(forbidden("list", "serviceaccounts"))
		r.Note(forbidden("watch", "secretproviderclasses"))
		now = now.Add(time.Minute)
	}
	all := r.problems(now)
	if len(all) != 2 || !all[0].Since.Equal(noon) || !strings.Contains(all[0].Error, "cannot watch resource") || !strings.Contains(all[1].Error, "cannot list resource") {
		t.Errorf("refused: %+v", all)
	}
	for i := range 2 * maxRefusals {
		r.Note(forbidden("list", strconv.Itoa(i)))
	}
	if all := r.problems(now); len(all) != maxRefusals {
		t.Errorf("%d are kept", len(all))
	}
	if all := r.problems(now.Add(refusalAge + time.Minute)); len(all) != 0 {
		t.Errorf("served again: %+v", all)
	}
}

// forbidden is what an API server says of a right that is missing.
func forbidden(verb, resource string) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New(`User "system:serviceaccount:lanyard:sync" cannot `+verb+` resource "`+resource+`" at the cluster scope`))
}
