package stores

import (
	"errors"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
)

func TestKVVersion1IsReadWithItsNumbers(t *testing.T) {
	f := newFixture(t, shared)
	f.Must(t, "POST", f.kv1()+"/db", map[string]any{"port": 5432, "big": 9007199254740993, "user": "web"})
	value := mustRead(t, open(t, f.settings()), f.pod, store.Reference{Key: f.kv1() + "/db"})
	if got, want := string(value.Data.Reveal()), `{"big":9007199254740993,"port":5432,"user":"web"}`; got != want {
		t.Errorf("Read = %s, want %s", got, want)
	}
	if value.Version != "" || value.Lease != nil {
		t.Errorf("a secret of KV version 1 has version %q and lease %v", value.Version, value.Lease)
	}
}

func TestKVVersion2(t *testing.T) {
	f := newFixture(t, shared)
	s := open(t, f.settings())
	ref := f.put(t, "db", map[string]any{"n": "one"})
	f.put(t, "db", map[string]any{"n": "two"})
	pinned := func(version string) store.Reference { return store.Reference{Key: ref.Key, Version: version} }
	metadata := strings.Replace(ref.Key, "/data/", "/metadata/", 1)

	if got := field(t, mustRead(t, s, f.pod, ref), "n"); got != "two" {
		t.Errorf("the current version is %q, want two", got)
	}
	first := mustRead(t, s, f.pod, pinned("1"))
	if got := field(t, first, "n"); got != "one" {
		t.Errorf("version 1 is %q, want one", got)
	}
	if _, err := s.Read(t.Context(), f.pod, pinned("9")); !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("a version that never was: %v", err)
	}

	f.Must(t, "POST", strings.Replace(ref.Key, "/data/", "/delete/", 1), map[string]any{"versions": []int{1}})
	if _, err := s.Read(t.Context(), f.pod, pinned("1")); !errors.Is(err, fault.ErrNotFound) || !strings.Contains(err.Error(), "version 1 was deleted at 2") {
		t.Errorf("a deleted version: %v", err)
	}
	f.Must(t, "PUT", strings.Replace(ref.Key, "/data/", "/destroy/", 1), map[string]any{"versions": []int{1}})
	if _, err := s.Read(t.Context(), f.pod, pinned("1")); !errors.Is(err, fault.ErrNotFound) || !strings.Contains(err.Error(), "version 1 is destroyed") {
		t.Errorf("a destroyed version: %v", err)
	}

	f.Must(t, "DELETE", metadata, nil)
	if _, err := s.Read(t.Context(), f.pod, ref); !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("a secret without metadata: %v", err)
	}
	f.put(t, "db", map[string]any{"n": "three"})
	again := mustRead(t, s, f.pod, ref)
	if field(t, again, "n") != "three" || again.Version == first.Version || !strings.HasPrefix(again.Version, "1-") {
		t.Errorf("made anew: version %q, before %q", again.Version, first.Version)
	}
}

func TestKeysAreSentAsTheyStand(t *testing.T) {
	f := newFixture(t, shared)
	const name = "a b/c#d/%2e%2e/größe+1"
	if err := f.Call(t.Context(), "POST", f.kv2()+"/data/a%20b/c%23d/%252e%252e/gr%C3%B6%C3%9Fe+1", map[string]any{"data": map[string]any{"a": "b"}}, nil); err != nil {
		t.Fatal(err)
	}
	mustRead(t, open(t, f.settings()), f.pod, store.Reference{Key: f.kv2() + "/data/" + name})
}

func TestWrongKindOfKVIsExplained(t *testing.T) {
	f := newFixture(t, shared)
	s := open(t, f.settings())
	f.Must(t, "POST", f.kv1()+"/db", map[string]any{"a": "b"})
	f.put(t, "db", map[string]any{"a": "b"})
	for name, test := range map[string]struct {
		ref  store.Reference
		kind error
		text string
	}{
		"KV version 2 without data/": {store.Reference{Key: f.kv2() + "/db"}, fault.ErrInvalid, f.kv2() + "/data/db"},
		"KV version 1 with data/":    {store.Reference{Key: f.kv1() + "/data/db"}, fault.ErrNotFound, f.kv1() + "/db"},
		"a version of KV version 1":  {store.Reference{Key: f.kv1() + "/db", Version: "1"}, fault.ErrInvalid, "leave `version` out"},
		"a path that is denied":      {store.Reference{Key: f.kv1() + "/deny/db"}, fault.ErrDenied, `permission denied for role "web" at auth/` + f.jwt() + ": its policies need read on " + f.kv1() + "/deny/db"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := s.Read(t.Context(), f.pod, test.ref); !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("error %v, want %v with %q", err, test.kind, test.text)
			}
		})
	}
}

func TestListsAndPathsWithoutAnEnvelopeAreValues(t *testing.T) {
	f := newFixture(t, shared)
	s := open(t, f.settings())
	f.put(t, "b", map[string]any{"x": "y"})
	f.put(t, "a", map[string]any{"x": "y"})
	list := mustRead(t, s, f.pod, store.Reference{Key: f.kv2() + "/metadata", Options: map[string]any{"method": "LIST"}})
	if got := string(list.Data.Reveal()); got != `{"keys":["a","b"]}` {
		t.Errorf("LIST = %s", got)
	}
	if got := string(mustRead(t, s, f.pod, store.Reference{Key: "sys/seal-status"}).Data.Reveal()); !strings.Contains(got, `"sealed":false`) {
		t.Errorf("sys/seal-status = %s", got)
	}
}
