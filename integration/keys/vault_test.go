package keys

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/key/keytest"
	"github.com/lanyardhq/lanyard/provider/key/vault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

func TestVaultMeetsTheKeyContract(t *testing.T) {
	for name, test := range map[string]struct {
		about map[string]any // the key at Vault
		more  map[string]any // settings
		asPod bool
	}{
		"derived key, as the node":          {about: map[string]any{"derived": true}},
		"derived key, as a pod":             {about: map[string]any{"derived": true}, asPod: true},
		"key of its own, bound payload":     {more: map[string]any{"binding": "payload"}},
		"ChaCha20-Poly1305, derived":        {about: map[string]any{"derived": true, "type": "chacha20-poly1305"}},
		"AES-128, bound payload, as a pod ": {about: map[string]any{"type": "aes128-gcm96"}, more: map[string]any{"binding": "payload"}, asPod: true},
	} {
		t.Run(name, func(t *testing.T) {
			keytest.Run(t, func(t *testing.T) *keytest.Fixture {
				f := newFixture(t, test.about)
				auth, as := f.asNode(t), node
				others := map[string]identity.Identity{"a pod": f.pod(t, "prod", "web")}
				if test.asPod {
					auth, as = f.asPod("web"), f.pod(t, "prod", "web")
					others = map[string]identity.Identity{"the node": node, "another service account": f.pod(t, "prod", "other"), "another namespace": f.pod(t, "dev", "web")}
				}
				settings, other := f.settings(auth, test.more), f.settings(auth, test.more)
				other.Fields["key"] = "other"
				same := f.settings(auth, test.more)
				same.Fields["address"] = f.proxy.Address + "/"
				broken := f.settings(auth, map[string]any{"mount": "/", "key": "", "timeout": "0s"})
				return &keytest.Fixture{
					Type: vault.NewType(vault.Options{}), Settings: settings, Other: other, SameKey: &same,
					Identity: as, OtherCallers: others, Rotate: f.rotate, DetectsVersion: true,
					Fail:            func(*testing.T) { f.proxy.Add(faultproxy.Fault{Refuse: true}) },
					Answers:         keytest.NoServer, // the double's answers are damaged in provider/key/vault
					InvalidSettings: map[string]key.Settings{"mount key timeout": broken},
					Planted:         []string{f.secretID, as.Tokens["vault"].JWT.RevealString()},
				}
			})
		})
	}
}

// A Vault without associated data ignores it. It must not be taken for bound.
func TestAssociatedDataIsNotTrustedToAVaultThatIgnoresIt(t *testing.T) {
	f := newFixture(t, nil)
	opened := open(t, f.settings(f.asNode(t), map[string]any{"binding": "associatedData"}))
	if _, err := opened.Encrypt(t.Context(), node, secret.NewString("a"), scope); !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "ignores associated data, which needs 1.13") {
		t.Errorf("error %v, want one that tells the version that is needed", err)
	}
}

func TestConvergentKeysAreRefused(t *testing.T) {
	f := newFixture(t, map[string]any{"derived": true, "convergent_encryption": true})
	opened := open(t, f.settings(f.asNode(t), nil))
	if _, err := opened.Encrypt(t.Context(), node, secret.NewString("a"), scope); !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "convergently") {
		t.Errorf("error %v", err)
	}
}

func TestAMissingKeyIsNeverMade(t *testing.T) {
	f := newFixture(t, map[string]any{"derived": true})
	f.policyText(t, f.name+"-kms", fmt.Sprintf(`path "%s/*" { capabilities = ["create", "read", "update"] }`, f.transit()))
	opened := open(t, f.settings(f.asNode(t), map[string]any{"key": "missing"}))
	_, err := opened.Encrypt(t.Context(), node, secret.NewString("a"), scope)
	if !errors.Is(err, fault.ErrNotFound) || !strings.Contains(err.Error(), "vault write -f "+f.transit()+"/keys/missing") {
		t.Errorf("error %v", err)
	}
	if err := f.Call(t.Context(), "GET", f.transit()+"/keys/missing", nil, nil); err == nil {
		t.Error("the key was made by an encryption")
	}
}

func TestVersionsThatMayNotDecryptAnyMoreAreToldApart(t *testing.T) {
	f := newFixture(t, map[string]any{"derived": true})
	opened := open(t, f.settings(f.asNode(t), nil))
	made := encrypt(t, opened, node, "plaintext", scope)
	f.rotate(t)
	f.Must(t, "POST", f.transit()+"/keys/kms/config", map[string]any{"min_decryption_version": 2, "min_encryption_version": 2})
	_, err := opened.Decrypt(t.Context(), node, made, scope)
	if !errors.Is(err, fault.ErrNotFound) || !strings.Contains(err.Error(), "lower min_decryption_version") {
		t.Errorf("below min_decryption_version: error %v", err)
	}
	f.Must(t, "POST", f.transit()+"/keys/kms/config", map[string]any{"min_decryption_version": 1})
	wantPlain(t, opened, node, made, scope, "plaintext")
	newer := encrypt(t, opened, node, "plaintext", scope)
	if newer.Version != "v2" || made.Version != "v1" {
		t.Errorf("versions %q and %q", made.Version, newer.Version)
	}
}

func TestTheNodeLogsInByItsOwnMeans(t *testing.T) {
	f := newFixture(t, map[string]any{"derived": true})
	var token struct{ Token string }
	token.Token = f.Must(t, "POST", "auth/token/create", map[string]any{"policies": []string{"default", f.name + "-kms"}, "ttl": "1h"}).Auth.ClientToken
	for name, auth := range map[string]map[string]any{
		"AppRole with a file": f.asNode(t),
		"token file":          {"method": "tokenFile", "tokenFile": file(t, token.Token)},
		"JWT file":            {"method": "jwt", "mount": f.jwt(), "role": "web", "jwtFile": file(t, f.token(t, "prod", "web"))},
	} {
		t.Run(name, func(t *testing.T) {
			opened := open(t, f.settings(auth, nil))
			made := encrypt(t, opened, node, "plaintext", scope)
			wantPlain(t, opened, node, made, scope, "plaintext")
			if _, err := opened.Decrypt(t.Context(), f.pod(t, "prod", "web"), made, scope); !errors.Is(err, fault.ErrDenied) {
				t.Errorf("as a pod: error %v, want denied", err)
			}
			notByOperator := f.settings(auth, nil)
			notByOperator.ByOperator = false
			if opened, err := vault.NewType(vault.Options{}).Open(notByOperator); err == nil {
				opened.Close()
				t.Error("a class may use the node's credentials")
			}
		})
	}
}

// What was encrypted outlives a sealed Vault, and the same open key goes on
// when it is unsealed.
func TestASealedVaultIsUnavailableAndLosesNothing(t *testing.T) {
	f := newFixture(t, map[string]any{"derived": true})
	opened := open(t, f.settings(f.asNode(t), map[string]any{"retries": 0}))
	made := encrypt(t, opened, node, "plaintext", scope)
	if err := f.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	plain, err := opened.Decrypt(t.Context(), node, made, scope)
	if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "is sealed") || plain.Len() != 0 {
		t.Errorf("sealed: %d bytes, error %v", plain.Len(), err)
	}
	_, current := opened.Current(t.Context(), node)
	_, encrypted := opened.Encrypt(t.Context(), node, secret.NewString("a"), scope)
	for _, err := range []error{current, encrypted} {
		if !errors.Is(err, fault.ErrUnavailable) {
			t.Errorf("sealed: error %v, want unavailable", err)
		}
	}
	if err := f.Unseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantPlain(t, opened, node, made, scope, "plaintext")
	if again := encrypt(t, opened, node, "plaintext", scope); again.Version != made.Version {
		t.Errorf("version %q after unsealing, want %q", again.Version, made.Version)
	}
}

// A login that Vault has revoked is replaced, and nobody notices.
func TestARevokedLoginIsReplaced(t *testing.T) {
	f := newFixture(t, map[string]any{"derived": true})
	opened := open(t, f.settings(f.asNode(t), nil))
	made := encrypt(t, opened, node, "plaintext", scope)
	f.Must(t, "POST", "sys/leases/revoke-prefix/auth/"+f.approle(), map[string]any{})
	wantPlain(t, opened, node, made, scope, "plaintext")
}

// prefixOf is what docs/keys/vault.md lets an operator put into a policy: the
// base64 of all contexts that begin with these pairs.
func prefixOf(bound key.Context) string {
	canonical := bound.Canonical()
	for len(canonical)%3 != 0 {
		canonical = append(canonical, 0)
	}
	return base64.StdEncoding.EncodeToString(canonical)
}

// Vault itself, by its policy, lets a role open only what was encrypted for its
// own namespace.
func TestAPolicyLetsARoleOpenItsOwnNamespaceAlone(t *testing.T) {
	f := newFixture(t, map[string]any{"derived": true})
	for _, namespace := range []string{"prod", "prod2"} {
		f.policyText(t, f.name+"-open-"+namespace, fmt.Sprintf(`
			path "%s/decrypt/kms" {
			  capabilities       = ["update"]
			  allowed_parameters = { "ciphertext" = [], "context" = ["%s*"] }
			}`, f.transit(), prefixOf(key.Context{"cluster": "test", "namespace": namespace})))
		f.role(t, namespace, namespace, "web", "default", f.name+"-open-"+namespace)
	}
	boundTo := func(namespace, object string) key.Context {
		return key.Context{"cluster": "test", "namespace": namespace, "object": object, "service-account": "web"}
	}
	writer := open(t, f.settings(f.asNode(t), nil))
	for _, namespace := range []string{"prod", "prod2"} {
		pod, reader := f.pod(t, namespace, "web"), open(t, f.settings(f.asPod(namespace), nil))
		for _, object := range []string{"a", "db/password", strings.Repeat("long", 50)} {
			wantPlain(t, reader, pod, encrypt(t, writer, node, "own", boundTo(namespace, object)), boundTo(namespace, object), "own")
		}
		for _, other := range []string{"prod", "prod2", "prod3", "dev", "pro"} {
			if other == namespace {
				continue
			}
			bound := boundTo(other, "a")
			if _, err := reader.Decrypt(t.Context(), pod, encrypt(t, writer, node, "foreign", bound), bound); !errors.Is(err, fault.ErrDenied) {
				t.Errorf("%s opens what is bound to %s: %v", namespace, other, err)
			}
		}
		if _, err := reader.Encrypt(t.Context(), pod, secret.NewString("a"), boundTo(namespace, "a")); !errors.Is(err, fault.ErrDenied) {
			t.Errorf("%s may encrypt: %v", namespace, err)
		}
	}
}
