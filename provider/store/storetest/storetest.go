// Package storetest is the contract that every store must meet, as a test. A
// new store starts from here: write a Fixture that can change what the store
// holds, and make Run pass under -race.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
)

// Fixture is a store under test and the means to change what it holds.
type Fixture struct {
	// Type is the type under test and Settings a connection that works.
	Type     store.Type
	Settings store.Settings

	// Identity may read what Put stores.
	Identity identity.Identity
	// Stranger may not read it. If nil, the store leaves that decision to the
	// operator's allow list, and the points about strangers do not apply.
	Stranger *identity.Identity

	// Put makes the store hold value under name and returns the reference to
	// it. Each call with one name changes the value, and the reference may
	// change with it.
	Put func(t *testing.T, name, value string) store.Reference
	// Missing is a reference that is well formed and names nothing; without a
	// key for a store whose references are the values themselves.
	Missing store.Reference
	// Invalid are references that Check must refuse, by what is wrong.
	Invalid map[string]store.Reference
	// InvalidSettings are settings that Open must refuse, by the name of the
	// field that the error must tell.
	InvalidSettings map[string]store.Settings
	// Fail makes the store unreachable until the test ends; nil for a store
	// that cannot be.
	Fail func(t *testing.T)
	// Answers damages what the store's server answers; nil only for a store that has
	// none.
	Answers *Answers
	// Pinned are references to versions that never change; nil if the store has none.
	// What Put returns is none of them.
	Pinned []store.Reference
	// Refused returns a reference that the server refuses with a reason in its own
	// words. Network needs it.
	Refused func(t *testing.T) store.Reference
	// Want turns a value given to Put into what Read must return; nil if it
	// comes back unchanged.
	Want func(value string) string
}

// Run checks the contract of store.Type and store.Store. fixture is called for
// every point, so that points do not meet.
func Run(t *testing.T, fixture func(t *testing.T) *Fixture) {
	start := func(t *testing.T) (*Fixture, store.Store) {
		t.Helper()
		f := fixture(t)
		if f.Want == nil {
			f.Want = func(value string) string { return value }
		}
		s, err := f.Type.Open(f.Settings)
		if err != nil {
			t.Fatalf("Open with working settings: %v", err)
		}
		t.Cleanup(s.Close)
		return f, s
	}

	probes(t, start)

	t.Run("reads versions that never change late, and no others", func(t *testing.T) {
		f, s := start(t)
		steady, ok := s.(store.Steady)
		if !ok && len(f.Pinned) > 0 {
			t.Fatal("the store is not store.Steady")
		}
		for _, ref := range f.Pinned {
			if got := steady.RefreshOf(ref); got != store.PinnedRefresh {
				t.Errorf("%+v is read again after %s, want %s", ref, got, store.PinnedRefresh)
			}
		}
		if ref := f.Put(t, "first", "value-one"); ok && len(f.Pinned) > 0 && steady.RefreshOf(ref) != 0 {
			t.Errorf("%+v is taken for what never changes", ref)
		}
	})

	t.Run("needs nothing of the cluster and of a second place that the settings do not leave to them", func(t *testing.T) {
		f, s := start(t)
		if looksUp, ok := s.(store.ClusterReader); ok && len(looksUp.LooksUp()) > 0 {
			t.Errorf("settings that work without a cluster lack %v", looksUp.LooksUp())
		}
		ref := f.Put(t, "first", "value-one")
		mustRead(t, s, f.Identity, ref)
		if second, ok := s.(store.FailoverChecker); ok && second.ChecksFailover(ref) {
			if err := second.CheckFailover(t.Context(), f.Identity, ref); err != nil {
				t.Errorf("the second place does not have what was read: %v", err)
			}
		}
	})

	t.Run("tells of any settings whether the node reads, and leaves no credentials to classes then", func(t *testing.T) {
		node, ok := fixture(t).Type.(store.NodeReader)
		if !ok {
			return
		}
		for _, fields := range []map[string]any{nil, {}, {"auth": 7}, {"auth": map[string]any{"method": []any{}}}} {
			node.ReadsAsNode(store.Settings{Fields: fields}) // does not panic
		}
		for _, name := range node.NodeSettings() {
			for _, unsafe := range []string{"address", "endpoint", "authorityHost", "tls", "auth.method", "auth.role", "namespace", "root"} {
				if name == unsafe || strings.HasPrefix(name, unsafe+".") {
					t.Errorf("a class may give %s for the node's credentials or files", name)
				}
			}
		}
	})

	t.Run("reads what is held", func(t *testing.T) {
		f, s := start(t)
		ref := f.Put(t, "first", "value-one")
		if got := read(t, s, f.Identity, ref); got != f.Want("value-one") {
			t.Errorf("Read = %q, want %q", got, f.Want("value-one"))
		}
	})

	t.Run("keeps the version of an unchanged value and changes it with the value", func(t *testing.T) {
		f, s := start(t)
		ref := f.Put(t, "first", "value-one")
		before, again := mustRead(t, s, f.Identity, ref), mustRead(t, s, f.Identity, ref)
		if before.Version != again.Version {
			t.Errorf("version of an unchanged value went from %q to %q", before.Version, again.Version)
		}
		ref = f.Put(t, "first", "value-two")
		after := mustRead(t, s, f.Identity, ref)
		if got := string(after.Data.Reveal()); got != f.Want("value-two") {
			t.Errorf("Read after a change = %q, want %q", got, f.Want("value-two"))
		}
		if after.Version != "" && after.Version == before.Version {
			t.Errorf("version stayed %q though the value changed", after.Version)
		}
		if strings.Contains(after.Version, "value-two") {
			t.Errorf("version %q shows the value", after.Version)
		}
	})

	t.Run("says that what is missing is not found", func(t *testing.T) {
		f, s := start(t)
		if f.Missing.Key == "" {
			return
		}
		if err := s.Check(f.Missing); err != nil {
			t.Fatalf("Check of a well-formed reference: %v", err)
		}
		_, err := s.Read(t.Context(), f.Identity, f.Missing)
		wantKind(t, err, fault.ErrNotFound)
	})

	t.Run("refuses references that cannot be read", func(t *testing.T) {
		f, s := start(t)
		if len(f.Invalid) == 0 {
			t.Fatal("the fixture names no invalid reference")
		}
		for name, ref := range f.Invalid {
			t.Run(name, func(t *testing.T) { wantKind(t, s.Check(ref), fault.ErrInvalid) })
		}
	})

	t.Run("refuses wrong settings by the field's name", func(t *testing.T) {
		f := fixture(t)
		if len(f.InvalidSettings) == 0 {
			t.Fatal("the fixture names no invalid settings")
		}
		for field, settings := range f.InvalidSettings {
			t.Run(field, func(t *testing.T) {
				s, err := f.Type.Open(settings)
				if err == nil {
					s.Close()
				}
				wantKind(t, err, fault.ErrInvalid)
				if err != nil && !strings.Contains(err.Error(), field) {
					t.Errorf("error %q does not name the field %q", err, field)
				}
			})
		}
	})

	t.Run("gives a stranger nothing", func(t *testing.T) {
		f, s := start(t)
		if f.Stranger == nil {
			return
		}
		ref := f.Put(t, "first", "value-one")
		// The owner reads first: its login must not serve the stranger.
		mustRead(t, s, f.Identity, ref)
		value, err := s.Read(t.Context(), *f.Stranger, ref)
		if !errors.Is(err, fault.ErrDenied) && !errors.Is(err, fault.ErrUnauthenticated) {
			t.Errorf("Read as a stranger: error %v, want denied or not authenticated", err)
		}
		if value.Data.Len() != 0 {
			t.Error("Read as a stranger returned a value")
		}
	})

	t.Run("is safe for concurrent use and keeps values apart", func(t *testing.T) {
		f, s := start(t)
		refs, want := make([]store.Reference, 8), make([]string, 8)
		for i := range refs {
			want[i] = fmt.Sprintf("value-%d", i)
			refs[i] = f.Put(t, fmt.Sprintf("name%d", i), want[i])
		}
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				value, err := s.Read(t.Context(), f.Identity, refs[i%8])
				if err != nil {
					t.Errorf("Read: %v", err)
				} else if got := string(value.Data.Reveal()); got != f.Want(want[i%8]) {
					t.Errorf("Read = %q, want %q", got, f.Want(want[i%8]))
				}
			})
		}
		wg.Wait()
	})

	t.Run("gives up when the caller does", func(t *testing.T) {
		f, s := start(t)
		ref := f.Put(t, "first", "value-one")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		begin := time.Now()
		value, err := s.Read(ctx, f.Identity, ref)
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Read after cancel: %v, want context.Canceled", err)
		}
		if err != nil && value.Data.Len() != 0 {
			t.Error("Read returned an error and a value")
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("Read took %v after its context had ended", took)
		}
	})

	t.Run("says that a store that cannot be reached is unavailable", func(t *testing.T) {
		f, s := start(t)
		if f.Fail == nil {
			return
		}
		ref := f.Put(t, "first", "value-one")
		f.Fail(t)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		_, err := s.Read(ctx, f.Identity, ref)
		if !errors.Is(err, context.DeadlineExceeded) {
			wantKind(t, err, fault.ErrUnavailable)
		}
		if historian, ok := s.(store.Historian); ok {
			_, err := historian.Versions(ctx, f.Identity, ref)
			if !errors.Is(err, context.DeadlineExceeded) {
				wantKind(t, err, fault.ErrUnavailable)
			}
		}
	})

	runVersions(t, start)
	runBatches(t, start)
	runAnswers(t, start)
	runThrottled(t, start)

	t.Run("shows no value and no token when printed", func(t *testing.T) {
		f, s := start(t)
		const planted = "planted-7d1c3"
		value := mustRead(t, s, f.Identity, f.Put(t, "first", planted))
		printed := fmt.Sprintf("%v %+v %#v %s", value, value, value, value.Data)
		if strings.Contains(printed, planted) {
			t.Errorf("a printed value shows its bytes: %s", printed)
		}
	})
}

func mustRead(t *testing.T, s store.Store, as identity.Identity, ref store.Reference) store.Value {
	t.Helper()
	if err := s.Check(ref); err != nil {
		t.Fatalf("Check: %v", err)
	}
	value, err := s.Read(t.Context(), as, ref)
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	return value
}

func read(t *testing.T, s store.Store, as identity.Identity, ref store.Reference) string {
	t.Helper()
	return string(mustRead(t, s, as, ref).Data.Reveal())
}

// wantKind checks that err wraps kind and no other kind.
func wantKind(t *testing.T, err, kind error) {
	t.Helper()
	for _, k := range fault.Kinds() {
		if is := errors.Is(err, k.Err); is != errors.Is(kind, k.Err) {
			t.Errorf("error %v: is %q %v, want %v", err, k.Err, is, !is)
		}
	}
}
