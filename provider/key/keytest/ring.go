package keytest

import (
	"context"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// caller is a key that always uses the fixture's identity, for wrapping and
// unwrapping alike.
type caller struct {
	key.Key
	who identity.Identity
}

// Encrypt implements key.Key.
func (c caller) Encrypt(ctx context.Context, _ identity.Identity, plaintext secret.Bytes, bound key.Context) (key.Ciphertext, error) {
	return c.Key.Encrypt(ctx, c.who, plaintext, bound)
}

// Decrypt implements key.Key.
func (c caller) Decrypt(ctx context.Context, _ identity.Identity, made key.Ciphertext, bound key.Context) (secret.Bytes, error) {
	return c.Key.Decrypt(ctx, c.who, made, bound)
}

// keyRings wraps a key ring, rotates both the ring and the wrapping key, and checks
// that its file opens values of either ring key, and only those.
func keyRings(t *testing.T, s *subject) {
	with, err := seal.NewServiceKey("prod", caller{s.Key, s.Identity}, true)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	ring, err := seal.NewKeyRing("test", now)
	if err != nil {
		t.Fatal(err)
	}
	as := identity.Identity{Cluster: "test", Namespace: "prod", ServiceAccount: "web"}
	scope := seal.Scope{
		Cluster: seal.Exact(as.Cluster), Namespace: seal.Exact(as.Namespace), ServiceAccount: seal.Exact(as.ServiceAccount), Object: seal.Exact("db"),
	}
	var sealed []string
	for round := range 2 {
		if round > 0 {
			s.Rotate(t)
			if ring, err = ring.Rotate(now); err != nil {
				t.Fatal(err)
			}
		}
		if ring, err = ring.Wrap(t.Context(), with); err != nil {
			t.Fatalf("Wrap: %v", err)
		}
		made, err := seal.Seal(ring.Public(), scope, secret.NewString(text))
		if err != nil {
			t.Fatal(err)
		}
		sealed = append(sealed, made)
	}
	file, err := ring.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	s.wantNothingSecret(t, file.RevealString())

	open := func(settings key.Settings, sealed string) (string, error) {
		t.Helper()
		read, err := seal.ParseKeyRing(file)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := s.Type.Open(settings)
		if err != nil {
			t.Fatal(err)
		}
		with, err := seal.NewServiceKey("prod", caller{opened, s.Identity}, true)
		if err != nil {
			t.Fatal(err)
		}
		defer with.Close()
		unlocked := read.Unlock(with, nil)
		defer unlocked.Lock()
		parsed, err := seal.Parse(sealed)
		if err != nil {
			t.Fatal(err)
		}
		value, err := parsed.Open(t.Context(), seal.Keys{Ring: unlocked}, as, "db", now)
		return value.RevealString(), err
	}
	for i, one := range sealed {
		if got, err := open(s.Settings, one); got != text || err != nil {
			t.Errorf("what was sealed to key %d opens as %q, %v", i+1, got, err)
		}
		if got, err := open(s.Other, one); got != "" || err == nil {
			t.Errorf("another key opens what was sealed to key %d as %q", i+1, got)
		} else {
			s.wantNothingSecret(t, err.Error())
		}
	}
}
