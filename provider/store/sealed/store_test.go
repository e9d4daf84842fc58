package sealed_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/sealed"
	"github.com/lanyardhq/lanyard/provider/store/storetest"
)

var (
	noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	web  = identity.Identity{Cluster: "dev", Namespace: "prod", ServiceAccount: "web"}
)

func newRing(t *testing.T) *seal.KeyRing {
	t.Helper()
	ring, err := seal.NewKeyRing("dev", noon)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// write puts the ring in the place of path as lanyard keygen does: by renaming.
func write(t *testing.T, path string, ring *seal.KeyRing) {
	t.Helper()
	data, err := ring.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	replace(t, path, data.Reveal(), 0o600)
}

func replace(t *testing.T, path string, data []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path+".new", data, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func ringFile(t *testing.T, ring *seal.KeyRing) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ring.yaml")
	write(t, path, ring)
	return path
}

func scopeFor(as identity.Identity, object string) seal.Scope {
	return seal.Scope{
		Cluster: seal.Exact(as.Cluster), Namespace: seal.Exact(as.Namespace),
		ServiceAccount: seal.Exact(as.ServiceAccount), Object: seal.Exact(object),
	}
}

func sealTo(t *testing.T, ring *seal.KeyRing, scope seal.Scope, value string) string {
	t.Helper()
	text, err := seal.Seal(ring.Public(), scope, secret.NewString(value))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func settings(path string) store.Settings {
	return store.Settings{Fields: map[string]any{"keyRing": path}, ByOperator: true}
}

func newType(types ...key.Type) *sealed.Type {
	return sealed.NewType(sealed.Options{Now: func() time.Time { return noon }, KeyTypes: types})
}

func openStore(t *testing.T, path string) store.Store {
	t.Helper()
	s, err := newType().Open(settings(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// A sealed value carries itself, so that none can be missing: the fixture names
// no such reference, and the store has no ErrNotFound (see TestKindsOfFailure).
func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *storetest.Fixture {
		ring := newRing(t)
		path := ringFile(t, ring)
		other := web
		other.ServiceAccount = "api"
		good := sealTo(t, ring, scopeFor(web, "o"), "v")
		return &storetest.Fixture{
			Type:     sealed.NewType(sealed.Options{}),
			Settings: settings(path),
			Identity: web,
			Stranger: &other,
			Put: func(t *testing.T, name, value string) store.Reference {
				return store.Reference{Key: sealTo(t, ring, scopeFor(web, name), value), Object: name}
			},
			Invalid: map[string]store.Reference{
				"no text":           {Object: "o"},
				"not a sealed text": {Key: "secret/data/db", Object: "o"},
				"cut off":           {Key: good[:len(good)-1000], Object: "o"},
				"version":           {Key: good, Object: "o", Version: "1"},
				"options":           {Key: good, Object: "o", Options: map[string]any{"method": "PUT"}},
			},
			InvalidSettings: map[string]store.Settings{
				"keyRing": {ByOperator: true},
				"keyring": {ByOperator: true, Fields: map[string]any{"keyring": path}},
			},
		}
	})
}

func TestOnlyTheOperatorNamesTheKeyRing(t *testing.T) {
	s := settings(ringFile(t, newRing(t)))
	s.ByOperator = false
	_, err := sealed.NewType(sealed.Options{}).Open(s)
	if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "operator") {
		t.Errorf("Open from a class: %v", err)
	}
}

func TestRefusesAKeyRingThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open.yaml")
	write(t, open, newRing(t))
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	public := filepath.Join(dir, "public.yaml")
	replace(t, public, newRing(t).Public().Marshal(), 0o600)
	for name, path := range map[string]string{"missing": filepath.Join(dir, "none"), "readable by others": open, "a public key": public, "a directory": dir} {
		t.Run(name, func(t *testing.T) {
			_, err := sealed.NewType(sealed.Options{}).Open(settings(path))
			if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "keyRing: ") || !strings.Contains(err.Error(), path) {
				t.Errorf("Open: %v", err)
			}
		})
	}
}

// No failure is ErrNotFound: an optional object must not vanish because a key
// is missing.
func TestKindsOfFailure(t *testing.T) {
	first := newRing(t)
	rotated, err := first.Rotate(noon)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := rotated.Retire(first.Public().ID())
	if err != nil {
		t.Fatal(err)
	}
	scope := scopeFor(web, "o")
	expired := scope
	expired.NotAfter = noon.Add(-time.Second)
	text := sealTo(t, ring, scope, "v")

	elsewhere := func(change func(*identity.Identity)) identity.Identity {
		as := web
		change(&as)
		return as
	}
	for name, c := range map[string]struct {
		text   string
		as     identity.Identity
		object string
		kind   error
		cause  error
	}{
		"another cluster":         {text, elsewhere(func(id *identity.Identity) { id.Cluster = "live" }), "o", fault.ErrDenied, seal.ErrOtherCluster},
		"another namespace":       {text, elsewhere(func(id *identity.Identity) { id.Namespace = "x" }), "o", fault.ErrDenied, seal.ErrOtherNamespace},
		"another service account": {text, elsewhere(func(id *identity.Identity) { id.ServiceAccount = "x" }), "o", fault.ErrDenied, seal.ErrOtherServiceAccount},
		"another object":          {text, web, "x", fault.ErrDenied, seal.ErrOtherObject},
		"expired":                 {sealTo(t, ring, expired, "v"), web, "o", fault.ErrDenied, seal.ErrExpired},
		"unknown key":             {sealTo(t, newRing(t), scope, "v"), web, "o", fault.ErrInvalid, seal.ErrUnknownKey},
		"retired key":             {sealTo(t, first, scope, "v"), web, "o", fault.ErrInvalid, seal.ErrRetiredKey},
		"a flipped bit":           {flipLastBit(t, text), web, "o", fault.ErrInvalid, seal.ErrAuthentication},
		"not a sealed value":      {"lanyard.v1.", web, "o", fault.ErrInvalid, seal.ErrMalformed},
		"a later version":         {"lanyard.v2.AAAA", web, "o", fault.ErrInvalid, seal.ErrUnknownVersion},
		"a later suite":           {"lanyard.v1.AQM", web, "o", fault.ErrInvalid, seal.ErrUnknownSuite},
	} {
		t.Run(name, func(t *testing.T) {
			value, err := openStore(t, ringFile(t, ring)).Read(t.Context(), c.as, store.Reference{Key: c.text, Object: c.object})
			if !errors.Is(err, c.kind) || !errors.Is(err, c.cause) || errors.Is(err, fault.ErrNotFound) {
				t.Errorf("Read: %v, want %v and %v", err, c.kind, c.cause)
			}
			if value.Data.Len() != 0 {
				t.Error("Read returned a value and an error")
			}
		})
	}
}

func flipLastBit(t *testing.T, text string) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, "lanyard.v1."))
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-1] ^= 1
	return "lanyard.v1." + base64.RawURLEncoding.EncodeToString(raw)
}

func TestFollowsTheKeyRingFile(t *testing.T) {
	first := newRing(t)
	path := ringFile(t, first)
	s := openStore(t, path)
	read := func(text string) error {
		_, err := s.Read(t.Context(), web, store.Reference{Key: text, Object: "o"})
		return err
	}
	rotated, err := first.Rotate(noon)
	if err != nil {
		t.Fatal(err)
	}
	old, fresh := sealTo(t, first, scopeFor(web, "o"), "old"), sealTo(t, rotated, scopeFor(web, "o"), "new")

	if err := read(fresh); !errors.Is(err, seal.ErrUnknownKey) {
		t.Fatalf("before rotation: %v", err)
	}
	write(t, path, rotated)
	if err := errors.Join(read(old), read(fresh)); err != nil {
		t.Fatalf("after rotation: %v", err)
	}
	retired, err := rotated.Retire(first.Public().ID())
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, retired)
	if err := read(old); !errors.Is(err, seal.ErrRetiredKey) {
		t.Fatalf("after retirement: %v", err)
	}
}

func TestKeepsTheGoodKeyRingAndReportsABadOneOnce(t *testing.T) {
	var logged bytes.Buffer
	state := klog.CaptureState()
	t.Cleanup(state.Restore)
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	klog.SetOutputBySeverity("INFO", &logged) // which more severe lines reach too
	logs := func() string { klog.Flush(); return logged.String() }

	ring := newRing(t)
	path := ringFile(t, ring)
	s := openStore(t, path)
	text := sealTo(t, ring, scopeFor(web, "o"), "v")
	data, err := ring.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	_, private, _ := strings.Cut(data.RevealString(), "lanyard.private.v1.")
	private = strings.TrimSpace(private)

	for name, spoil := range map[string]func(){
		"not a ring":         func() { replace(t, path, []byte("lanyard.private.v1."+private), 0o600) },
		"a wrong field":      func() { replace(t, path, []byte(data.RevealString()+"extra: "+private+"\n"), 0o600) },
		"readable by others": func() { replace(t, path, data.Reveal(), 0o644) },
		"missing":            func() { _ = os.Remove(path) },
	} {
		t.Run(name, func(t *testing.T) {
			write(t, path, ring)
			if _, err := s.Read(t.Context(), web, store.Reference{Key: text, Object: "o"}); err != nil {
				t.Fatal(err)
			}
			before := strings.Count(logs(), "cannot be read")
			spoil()
			for range 3 {
				if _, err := s.Read(t.Context(), web, store.Reference{Key: text, Object: "o"}); err != nil {
					t.Fatal(err)
				}
			}
			if got := strings.Count(logs(), "cannot be read") - before; got != 1 {
				t.Errorf("logged %d times, want once", got)
			}
			if !strings.Contains(logs(), path) || strings.Contains(logs(), private) {
				t.Errorf("log: %s", logs())
			}
		})
	}
}

func TestVersionIsOfTheTextAndNotOfTheValue(t *testing.T) {
	ring := newRing(t)
	s := openStore(t, ringFile(t, ring))
	versions := map[string]bool{}
	for range 2 {
		value, err := s.Read(t.Context(), web, store.Reference{Key: sealTo(t, ring, scopeFor(web, "o"), "same"), Object: "o"})
		if err != nil {
			t.Fatal(err)
		}
		versions[value.Version] = true
	}
	if len(versions) != 2 {
		t.Error("two texts of one value have one version: it tells that the values are equal")
	}
}
