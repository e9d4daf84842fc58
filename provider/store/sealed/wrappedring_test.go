package sealed_test

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/key/local"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/store"
)

// wrapping is a key file in the place of a key service, and its settings under
// the name prod.
func wrapping(t *testing.T) (file string, with *seal.ServiceKey, keys map[string]any) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte(base64.StdEncoding.EncodeToString([]byte("a key for the tests of sealed st"))+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	opened, err := local.NewType().Open(key.Settings{Fields: map[string]any{"file": file}, ByOperator: true})
	if err != nil {
		t.Fatal(err)
	}
	if with, err = seal.NewServiceKey("prod", opened, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(with.Close)
	return file, with, map[string]any{"name": "prod", "openAs": "node", "service": map[string]any{"type": "local", "file": file}}
}

func wrapped(t *testing.T, ring *seal.KeyRing, with *seal.ServiceKey) *seal.KeyRing {
	t.Helper()
	ring, err := ring.Wrap(t.Context(), with)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// The life of a node: it starts while the key service is away, which comes, goes
// and comes again while the ring is rotated.
func TestWrappedKeyRing(t *testing.T) {
	file, with, keys := wrapping(t)
	first := wrapped(t, newRing(t), with)
	path := ringFile(t, first)
	old := sealTo(t, first, scopeFor(web, "o"), "old")
	away := func() {
		t.Helper()
		if err := os.Rename(file, file+".away"); err != nil {
			t.Fatal(err)
		}
	}
	back := func() {
		t.Helper()
		if err := os.Rename(file+".away", file); err != nil {
			t.Fatal(err)
		}
	}
	away()
	s, err := newType(local.NewType()).Open(store.Settings{ByOperator: true, Fields: map[string]any{"keyRing": path, "keys": []any{keys}}})
	if err != nil {
		t.Fatalf("a key service that is away at the start: %v", err)
	}
	t.Cleanup(s.Close)
	read := func(text, want string) error {
		t.Helper()
		value, err := s.Read(t.Context(), web, store.Reference{Key: text, Object: "o"})
		if err == nil && value.Data.RevealString() != want {
			t.Errorf("read %q, want %q", value.Data.RevealString(), want)
		}
		return err
	}

	if err := read(old, ""); !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "not lost") || !strings.Contains(err.Error(), "key prod") {
		t.Errorf("at the start: %v", err)
	}
	// Whose value it is not is told without the key service.
	api := web
	api.ServiceAccount = "api"
	if _, err := s.Read(t.Context(), api, store.Reference{Key: old, Object: "o"}); !errors.Is(err, fault.ErrDenied) {
		t.Errorf("another service account: %v", err)
	}
	back()
	if err := read(old, "old"); err != nil {
		t.Errorf("after it came: %v", err)
	}

	rotated, err := first.Rotate(noon)
	if err != nil {
		t.Fatal(err)
	}
	rotated = wrapped(t, rotated, with)
	fresh := sealTo(t, rotated, scopeFor(web, "o"), "new")
	away()
	write(t, path, rotated)
	if err := read(old, "old"); err != nil {
		t.Errorf("what worked, after a rotation without the key service: %v", err)
	}
	if err := read(fresh, ""); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("what did not work yet: %v", err)
	}
	back()
	if err := errors.Join(read(old, "old"), read(fresh, "new")); err != nil {
		t.Errorf("after it came again: %v", err)
	}
	retired, err := rotated.Retire(first.Public().ID())
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, retired)
	if err := read(old, ""); !errors.Is(err, seal.ErrRetiredKey) {
		t.Errorf("after retirement: %v", err)
	}
	if err := read(fresh, "new"); err != nil {
		t.Errorf("after retirement: %v", err)
	}
}

// A plain ring is wrapped while the node runs.
func TestMigratesFromAPlainKeyRing(t *testing.T) {
	_, with, keys := wrapping(t)
	plain := newRing(t)
	path := ringFile(t, plain)
	s, err := newType(local.NewType()).Open(store.Settings{ByOperator: true, Fields: map[string]any{"keyRing": path, "keys": []any{keys}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	text := sealTo(t, plain, scopeFor(web, "o"), "v")
	for range 2 {
		if value, err := s.Read(t.Context(), web, store.Reference{Key: text, Object: "o"}); err != nil || value.Data.RevealString() != "v" {
			t.Errorf("read %q, %v", value.Data.RevealString(), err)
		}
		write(t, path, wrapped(t, plain, with))
	}
}

func TestRefusesAWrappedKeyRingWithoutItsKey(t *testing.T) {
	file, with, _ := wrapping(t)
	asPod := map[string]any{"name": "prod", "service": map[string]any{"type": "pods", "role": "prod"}}
	path := ringFile(t, wrapped(t, newRing(t), with))
	for name, c := range map[string]struct {
		keys  []any
		tells string
	}{
		"no keys":             {nil, "key prod, which is not named here"},
		"a key asked as pods": {[]any{asPod}, "set its openAs to node"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newType(local.NewType(), &pods{file: file}).Open(store.Settings{ByOperator: true, Fields: map[string]any{"keyRing": path, "keys": c.keys}})
			if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), c.tells) {
				t.Errorf("error %v does not tell %q", err, c.tells)
			}
		})
	}
}
