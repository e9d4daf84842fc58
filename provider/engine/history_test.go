package engine_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
)

// historians make Memory's stores such that know two versions of each secret.
type historians struct{ *Memory }

func (h historians) Open(settings store.Settings) (store.Store, error) {
	opened, err := h.Memory.Open(settings)
	return historian{opened}, err
}

type historian struct{ store.Store }

func (historian) HasVersions(ref store.Reference) error {
	if strings.HasPrefix(ref.Key, "plain/") {
		return fault.Failf(store.ErrUnversioned, "the `key` names no secret with versions")
	}
	return nil
}

func (h historian) Versions(_ context.Context, _ identity.Identity, ref store.Reference) ([]store.VersionInfo, error) {
	switch {
	case strings.HasPrefix(ref.Key, "late/"):
		return nil, fault.Failf(store.ErrUnversioned, "it turned out to have none")
	case strings.HasPrefix(ref.Key, "denied/"):
		return nil, fault.Failf(fault.ErrDenied, "the `key` is refused")
	}
	return store.Newest([]store.VersionInfo{{Version: "1", State: store.StateAvailable}, {Version: "2", State: store.StateCurrent}, {Version: "0", State: store.StateDestroyed}}, ref.Version), nil
}

func startHistory(t *testing.T, change func(*config.Config)) *bench {
	t.Helper()
	memory := NewMemory()
	b := startWith(t, historians{memory}, memory, change)
	b.key = func(string) (secret.Bytes, error) { return secret.NewString(strings.Repeat("k", 32)), nil }
	memory.Change = func(ref store.Reference, value *store.Value) {
		if ref.Version == "1" {
			value.Data = secret.NewString("old")
		}
	}
	return b
}

func (b *bench) history(as identity.Identity, class string, change func(*engine.HistoryRequest)) ([]engine.ObjectHistory, error) {
	request := engine.HistoryRequest{Request: engine.Request{Dialect: "test", Parameters: map[string]string{"class": class}, Identity: as}}
	if change != nil {
		change(&request)
	}
	return b.History(context.Background(), request)
}

func TestOneFailureHidesNoOtherHistory(t *testing.T) {
	b := startHistory(t, func(c *config.Config) {
		c.Stores["closed"] = config.Store{Type: "memory", Fields: map[string]any{"address": "there"}, Allow: []string{"other/*"}}
	})
	b.class("all",
		spec.Object{Path: "a", Key: "a"}, spec.Object{Path: "again", Key: "a", Version: "1"}, spec.Object{Path: "denied", Key: "denied/a"}, spec.Object{Path: "plain", Key: "plain/a"},
		spec.Object{Path: "late", Key: "late/a"}, spec.Object{Path: "closed", Store: "closed", Key: "a"}, spec.Object{Path: "text", Template: "x"},
	)
	b.classes["all"].Words = spec.Words{"objects[].key": "secretPath"}
	calls := 0
	found, err := b.history(pod("prod/web", "web-0"), "all", func(r *engine.HistoryRequest) { r.Progress = func(int, int) { calls++ } })
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]struct {
		failure, unversioned string
		kind                 error
		versions             int
	}{
		"a": {versions: 3}, "again": {versions: 3},
		"denied": {failure: "memory: the secretPath is refused", kind: fault.ErrDenied},
		"plain":  {unversioned: "memory: the secretPath names no secret with versions"},
		"late":   {unversioned: "memory: it turned out to have none"},
		"closed": {failure: "closed: permission denied: the operator's allow list for this store has no entry for prod/web", kind: fault.ErrDenied},
		"text":   {unversioned: "it is a template"},
	}
	if len(found) != len(want) || calls != 5 {
		t.Errorf("%d objects and %d calls of progress: %+v", len(found), calls, found)
	}
	for _, one := range found {
		w := want[one.Object.ID()]
		if !strings.HasPrefix(one.Failure, w.failure) || !strings.HasPrefix(one.Unversioned, w.unversioned) || (one.Failure == "") != (w.failure == "") || len(one.Versions) != w.versions || !errors.Is(one.Kind, w.kind) {
			t.Errorf("%s: %+v", one.Object.ID(), one)
		}
		for _, v := range one.Versions {
			if v.Chosen != (v.Version == "2" && one.Object.Version == "" || v.Version == one.Object.Version) {
				t.Errorf("%s: version %s: chosen is %v", one.Object.ID(), v.Version, v.Chosen)
			}
		}
	}
	b.wantReads(t, 0)
	if _, err := b.history(pod("prod/web", "web-0"), "all", func(r *engine.HistoryRequest) { r.Dialect = "other" }); !errors.Is(err, fault.ErrInvalid) {
		t.Errorf("an unknown dialect: %v", err)
	}
	some, err := b.history(pod("prod/web", "web-0"), "all", func(r *engine.HistoryRequest) { r.Objects = func(place int) bool { return place == 3 } })
	if err != nil || len(some) != 1 || some[0].Number != 4 {
		t.Errorf("one object: %+v, %v", some, err)
	}
}

func TestHistoryKnowsWhatPodsShowOfAVersion(t *testing.T) {
	b := startHistory(t, func(c *config.Config) { c.Cache.VersionKeySecret = "key" })
	as := pod("prod/web", "web-0")
	b.class("web", spec.Object{Path: "a", Key: "a"})
	b.class("pinned", spec.Object{Path: "a", Key: "a", Version: "1"})
	shown := func(class string) string {
		_, versions := b.mustMount(t, as, class)
		return versions["a"]
	}
	b.memory.Put("a", "old")
	old := shown("web")
	b.memory.Put("a", "new")
	b.Refresh()
	current, pinned := shown("web"), shown("pinned")
	for _, class := range []string{"web", "pinned"} {
		found, err := b.history(as, class, func(r *engine.HistoryRequest) { r.Published = true })
		if err != nil {
			t.Fatal(err)
		}
		published := map[string][]string{}
		for _, v := range found[0].Versions {
			published[v.Version] = v.Published
		}
		if !slices.Contains(published["1"], old) || !slices.Contains(published["1"], pinned) || !slices.Contains(published["2"], current) || slices.Contains(published["2"], old) || published["0"] != nil {
			t.Errorf("%s: %v; pods showed %s of the old value, %s pinned to it, and %s of the new one", class, published, old, pinned, current)
		}
		other, err := b.history(pod("prod/api", "api-0"), class, func(r *engine.HistoryRequest) { r.Published = true })
		if err != nil || slices.Contains(other[0].Versions[1].Published, old) {
			t.Errorf("another service account shows the same: %+v, %v", other, err)
		}
	}
}
