package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
)

// runVersions checks what a store tells of the versions of a secret.
func runVersions(t *testing.T, start func(*testing.T) (*Fixture, store.Store)) {
	t.Helper()
	begin := func(t *testing.T) (*Fixture, store.Historian) {
		t.Helper()
		f, s := start(t)
		historian, _ := s.(store.Historian)
		return f, historian
	}
	values := []string{"value-three", "value-two", "value-one"} // the newest first

	t.Run("lists the versions of a secret, the newest first, and each can be read", func(t *testing.T) {
		f, s := begin(t)
		if s == nil {
			return
		}
		var ref store.Reference
		for _, value := range slices.Backward(values) {
			ref = f.Put(t, "first", value)
		}
		f.Put(t, "first-other", "another")
		if err := s.HasVersions(ref); err != nil {
			t.Fatalf("HasVersions: %v", err)
		}
		versions, err := s.Versions(t.Context(), f.Identity, ref)
		if err != nil {
			t.Fatalf("Versions: %v", err)
		}
		if len(versions) != len(values) {
			t.Fatalf("%d versions are listed, want %d: %+v", len(versions), len(values), versions)
		}
		if shown := fmt.Sprintf("%+v", versions); strings.Contains(shown, "value-") {
			t.Errorf("the versions show a value: %s", shown)
		}
		for i, v := range versions {
			if i > 0 && v.Made.After(versions[i-1].Made) || v.Made.IsZero() {
				t.Errorf("version %d was made at %v, and the one before at %v", i, v.Made, versions[max(i-1, 0)].Made)
			}
			if v.Chosen != (i == 0) {
				t.Errorf("version %d: chosen is %v", i, v.Chosen)
			}
			if isCurrent := v.State == store.StateCurrent; isCurrent && i > 0 || isCurrent != (i == 0) && ref.Version == "" {
				t.Errorf("version %d has the state %s", i, v.State)
			}
			if !v.State.Readable() {
				t.Errorf("version %d has the state %s", i, v.State)
			}
			pinned := ref
			pinned.Version = v.Version
			if got := read(t, s, f.Identity, pinned); got != f.Want(values[i]) {
				t.Errorf("version %s is %q, want %q", v.Version, got, f.Want(values[i]))
			}
			again, err := s.Versions(t.Context(), f.Identity, pinned)
			if err != nil || len(again) != len(values) || !again[i].Chosen {
				t.Errorf("with version %s named, the list is %+v, %v", v.Version, again, err)
			}
		}
	})

	t.Run("has no versions of what is missing", func(t *testing.T) {
		f, s := begin(t)
		if s == nil {
			return
		}
		_, err := s.Versions(t.Context(), f.Identity, f.Missing)
		wantKind(t, err, fault.ErrNotFound)
	})

	t.Run("lists nothing for a stranger", func(t *testing.T) {
		f, s := begin(t)
		if s == nil || f.Stranger == nil {
			return
		}
		ref := f.Put(t, "first", "value-one")
		if _, err := s.Versions(t.Context(), f.Identity, ref); err != nil {
			t.Fatal(err)
		}
		versions, err := s.Versions(t.Context(), *f.Stranger, ref)
		if !errors.Is(err, fault.ErrDenied) && !errors.Is(err, fault.ErrUnauthenticated) || len(versions) > 0 {
			t.Errorf("versions for a stranger: %+v, %v", versions, err)
		}
	})
}
