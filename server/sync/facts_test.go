package sync

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/server/status"
)

func TestFactsTellTheObjectsAndNoValue(t *testing.T) {
	g := newRig(t)
	facts := func() status.Synced {
		t.Helper()
		all := g.reconciler.shared.Metrics.Facts()
		text, err := json.Marshal(all)
		if err != nil || strings.Contains(string(text), "planted") {
			t.Errorf("%v: %s", err, text)
		}
		if len(all) != 1 {
			t.Fatalf("facts of %d objects", len(all))
		}
		return all[0]
	}
	if all := g.reconciler.shared.Metrics.Facts(); all == nil || len(all) != 0 {
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
		t.Errorf("mended %+v", f)
	}
	g.want = nil
	g.run()
	if all := g.reconciler.shared.Metrics.Facts(); len(all) != 0 {
		t.Errorf("gone %+v", all)
	}
}
