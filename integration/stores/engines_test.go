package stores

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base32"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
)

func TestPKIIssuesWhatEachBodyAsksFor(t *testing.T) {
	f := newFixture(t, shared)
	pki := f.name + "-pki"
	f.mount(t, pki, "pki", nil)
	f.policy(t, pki)
	f.Must(t, "POST", pki+"/root/generate/internal", map[string]any{"common_name": "root", "ttl": "24h", "key_type": "ec"})
	f.Must(t, "POST", pki+"/roles/web", map[string]any{"allow_any_name": true, "key_type": "ec", "max_ttl": "2h"})
	f.Must(t, "POST", pki+"/roles/leased", map[string]any{"allow_any_name": true, "key_type": "ec", "max_ttl": "2h", "generate_lease": true})
	s := open(t, f.settings())
	issue := func(role string, body map[string]any) store.Reference {
		return store.Reference{Key: pki + "/issue/" + role, Options: map[string]any{"body": body}}
	}
	for name, test := range map[string]struct {
		ref  store.Reference
		name string
		life time.Duration
	}{
		"one name":          {issue("web", map[string]any{"common_name": "a.example", "ttl": "1h"}), "a.example", time.Hour},
		"another name":      {issue("web", map[string]any{"common_name": "b.example", "ttl": "30m"}), "b.example", 30 * time.Minute},
		"bundled":           {issue("web", map[string]any{"common_name": "c.example", "ttl": "1h", "format": "pem_bundle"}), "c.example", time.Hour},
		"with a lease":      {issue("leased", map[string]any{"common_name": "d.example", "ttl": "10m"}), "d.example", 10 * time.Minute},
		"in another format": {issue("web", map[string]any{"common_name": "e.example", "ttl": "20m", "format": "der"}), "", 20 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			value := mustRead(t, s, f.pod, test.ref)
			if value.Lease == nil || value.Lease.Renew != nil {
				t.Fatalf("lease %+v, want one that cannot be renewed", value.Lease)
			}
			if got := time.Until(value.Lease.Expires); got > test.life+time.Minute || got < test.life-time.Minute {
				t.Errorf("ends in %v, want about %v", got, test.life)
			}
			if test.name == "" {
				return
			}
			var subject string
			for block, rest := pem.Decode([]byte(field(t, value, "certificate"))); block != nil && subject == ""; block, rest = pem.Decode(rest) {
				if certificate, err := x509.ParseCertificate(block.Bytes); err == nil {
					subject = certificate.Subject.CommonName
				}
			}
			if subject != test.name {
				t.Errorf("certificate for %q, want %q", subject, test.name)
			}
		})
	}
	if _, err := s.Read(t.Context(), f.pod, issue("web", map[string]any{})); !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "common_name") {
		t.Errorf("a body without a name: %v, want Vault's own reason", err)
	}
}

func TestSSHSignedKeyEndsWithItsCertificate(t *testing.T) {
	f := newFixture(t, shared)
	mount := f.name + "-ssh"
	f.mount(t, mount, "ssh", nil)
	f.policy(t, mount)
	f.Must(t, "POST", mount+"/config/ca", map[string]any{"generate_signing_key": true})
	f.Must(t, "POST", mount+"/roles/web", map[string]any{
		"key_type": "ca", "allow_user_certificates": true, "allowed_users": "*", "default_user": "web", "ttl": "15m",
	})
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	value := mustRead(t, open(t, f.settings()), f.pod, store.Reference{
		Key: mount + "/sign/web", Options: map[string]any{"method": "POST", "body": map[string]any{"public_key": string(ssh.MarshalAuthorizedKey(key))}},
	})
	if value.Lease == nil || value.Lease.Renew != nil {
		t.Fatalf("lease %+v, want one that cannot be renewed", value.Lease)
	}
	if got := time.Until(value.Lease.Expires); got > 16*time.Minute || got < 14*time.Minute {
		t.Errorf("ends in %v, want about 15 minutes", got)
	}
}

func TestTOTPCode(t *testing.T) {
	f := newFixture(t, shared)
	mount := f.name + "-totp"
	f.mount(t, mount, "totp", nil)
	f.policy(t, mount)
	f.Must(t, "POST", mount+"/keys/web", map[string]any{"key": base32.StdEncoding.EncodeToString([]byte("twenty bytes of key!")), "issuer": "a", "account_name": "b"})
	value := mustRead(t, open(t, f.settings()), f.pod, store.Reference{Key: mount + "/code/web"})
	if code := field(t, value, "code"); len(code) != 6 || value.Lease != nil {
		t.Errorf("code of %d digits with lease %v", len(code), value.Lease)
	}
}

func TestWriteWithoutAnEndHasNoLease(t *testing.T) {
	f := newFixture(t, shared)
	mount := f.name + "-transit"
	f.mount(t, mount, "transit", nil)
	f.policy(t, mount)
	f.Must(t, "POST", mount+"/keys/web", nil)
	s := open(t, f.settings())
	value := mustRead(t, s, f.pod, store.Reference{Key: mount + "/random/16", Options: map[string]any{"method": "POST", "body": map[string]any{"format": "hex"}}})
	if got := field(t, value, "random_bytes"); len(got) != 32 || value.Lease != nil {
		t.Errorf("%d digits with lease %v", len(got), value.Lease)
	}
	// What Vault answers with 204 has no value.
	_, err := s.Read(t.Context(), f.pod, store.Reference{Key: mount + "/keys/other", Options: map[string]any{"method": "POST"}})
	if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "204") {
		t.Errorf("a write without an answer: %v", err)
	}
	_, err = s.Read(t.Context(), f.pod, store.Reference{Key: mount + "/random/16", Options: map[string]any{"method": "LIST"}})
	if !errors.Is(err, fault.ErrInvalid) {
		t.Errorf("a method that the engine does not take: %v", err)
	}
}
