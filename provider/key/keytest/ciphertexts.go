package keytest

import (
	"bytes"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/secret"
)

func roundTrips(t *testing.T, s *subject) {
	contexts := []key.Context{nil, scope, {"größe": "☃ and spaces"}}
	for i, size := range []int{1, 2, 15, 16, 17, 31, 32, 33, 190, 191, 255, 256, 1024, 4095, key.MaxPlaintext} {
		plaintext, bound := backendtest.Random(size), contexts[i%len(contexts)]
		s.decrypt(t, s.encrypt(t, plaintext, bound), bound, plaintext)
	}
	// No byte terminates a plaintext or is trimmed.
	for _, plaintext := range []string{"\x00", "\x00\x00\x00", "\n", " a ", "\xff\xfe"} {
		s.decrypt(t, s.encrypt(t, []byte(plaintext), scope), scope, []byte(plaintext))
	}
}

func fresh(t *testing.T, s *subject) {
	seen := map[string]bool{}
	for range 8 {
		made := s.encrypt(t, []byte(text), scope)
		if seen[string(made.Data)] {
			t.Fatal("two encryptions of one plaintext are the same: the key encrypts convergently")
		}
		seen[string(made.Data)] = true
		if bytes.Contains(made.Data, []byte(text)) {
			t.Fatal("the ciphertext holds the plaintext")
		}
	}
}

func bitFlips(t *testing.T, s *subject) {
	made := s.encrypt(t, []byte(text), scope)
	for i := range made.Data {
		for bit := range 8 {
			changed := key.Ciphertext{Data: bytes.Clone(made.Data)}
			changed.Data[i] ^= 1 << bit
			s.refuses(t, fmt.Sprintf("bit %d of byte %d of %d changed", bit, i, len(made.Data)), changed, scope, append(unauthentic, fault.ErrNotFound)...)
			if t.Failed() {
				return
			}
		}
	}
	s.decrypt(t, made, scope, []byte(text))
}

func cuts(t *testing.T, s *subject) {
	made := s.encrypt(t, []byte(text), scope)
	for cut := 1; cut < len(made.Data); cut += max(1, len(made.Data)/40) {
		s.refuses(t, fmt.Sprintf("%d bytes missing at the end", cut), key.Ciphertext{Data: made.Data[:len(made.Data)-cut]}, scope, unauthentic...)
		// The rest may look like a ciphertext of a missing key.
		s.refuses(t, fmt.Sprintf("%d bytes missing at the beginning", cut), key.Ciphertext{Data: made.Data[cut:]}, scope, append(unauthentic, fault.ErrNotFound)...)
	}
	for _, more := range []string{"\x00", "A", "=", "\n", " ", string(made.Data)} {
		s.refuses(t, fmt.Sprintf("%d bytes added at the end", len(more)), key.Ciphertext{Data: append(bytes.Clone(made.Data), more...)}, scope, unauthentic...)
		s.refuses(t, fmt.Sprintf("%d bytes added at the beginning", len(more)), key.Ciphertext{Data: append([]byte(more), made.Data...)}, scope, unauthentic...)
	}
}

func otherContexts(t *testing.T, s *subject) {
	with := func(name, value string) key.Context {
		changed := maps.Clone(scope)
		if value == "" {
			delete(changed, name)
		} else {
			changed[name] = value
		}
		return changed
	}
	made := s.encrypt(t, []byte(text), scope)
	for what, other := range map[string]key.Context{
		"no context":         nil,
		"a pair less":        with("object", ""),
		"a pair more":        with("more", "x"),
		"another value":      with("namespace", "prod2"),
		"another case":       with("namespace", "Prod"),
		"values swapped":     {"cluster": "prod", "namespace": "test", "object": "db/password"},
		"a name and value 2": {"cluster": "testn", "amespace": "prod", "object": "db/password"},
		"a space":            with("namespace", "prod "),
	} {
		s.refuses(t, what, made, other, unauthentic...)
	}
	s.decrypt(t, made, scope, []byte(text))
	unbound := s.encrypt(t, []byte(text), nil)
	s.refuses(t, "a context where there was none", unbound, scope, unauthentic...)
	s.decrypt(t, unbound, key.Context{}, []byte(text))
}

func otherKey(t *testing.T, s *subject) {
	other := &subject{Fixture: s.Fixture, Key: open(t, s.Fixture, s.Other)}
	if other.Name() == s.Name() {
		t.Errorf("two keys have the name %q", s.Name())
	}
	made := other.encrypt(t, []byte(text), scope)
	other.decrypt(t, made, scope, []byte(text))
	// The ciphertext may name a key that this service does not have.
	s.refuses(t, "another key's ciphertext", made, scope, append(unauthentic, fault.ErrNotFound)...)
	s.refuses(t, "another key's ciphertext without its version", key.Ciphertext{Data: made.Data}, scope, append(unauthentic, fault.ErrNotFound)...)
}

func garbage(t *testing.T, s *subject) {
	for what, data := range map[string][]byte{
		"one byte": {0}, "text": []byte("not a ciphertext"), "random bytes": backendtest.Random(200),
		"zeros": make([]byte, 200), "the most bytes": backendtest.Random(key.MaxCiphertext), "a path": []byte("../../sys/raw"),
	} {
		s.refuses(t, what, key.Ciphertext{Data: data}, scope, append(unauthentic, fault.ErrNotFound)...)
	}
}

func bounds(t *testing.T, s *subject) {
	outside := key.Context{"name": ""}
	for what, test := range map[string]struct {
		size  int
		bound key.Context
	}{
		"no plaintext": {0, scope}, "too much plaintext": {key.MaxPlaintext + 1, scope}, "a context out of bounds": {1, outside},
	} {
		made, err := s.Encrypt(t.Context(), s.Identity, secret.New(make([]byte, test.size)), test.bound)
		if len(made.Data) != 0 {
			t.Errorf("%s: Encrypt made %d bytes", what, len(made.Data))
		}
		s.wantKind(t, what, err, fault.ErrInvalid)
	}
	made := s.encrypt(t, []byte(text), scope)
	s.refuses(t, "no ciphertext", key.Ciphertext{Version: made.Version}, scope, fault.ErrInvalid)
	s.refuses(t, "too much ciphertext", key.Ciphertext{Data: make([]byte, key.MaxCiphertext+1)}, scope, fault.ErrInvalid)
	s.refuses(t, "a long version", key.Ciphertext{Data: made.Data, Version: strings.Repeat("v", key.MaxVersion+1)}, scope, fault.ErrInvalid)
	s.refuses(t, "a context out of bounds", made, outside, fault.ErrInvalid)
}
