// Package keys runs the key services against the real systems: Vault's Transit
// engine in a real Vault, with real logins and policies.
package keys

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/integration/vaultserver"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/key/vault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// shared is the Vault of all tests; each test has its own mounts there.
var shared *vaultserver.Server

var mounts atomic.Int64

func TestMain(m *testing.M) {
	server, err := vaultserver.Start(context.Background(), vaultserver.Options{Log: os.Stderr})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	shared = server
	code := m.Run()
	server.Close()
	os.Exit(code)
}

var (
	node  identity.Identity
	scope = key.Context{"cluster": "test", "namespace": "prod", "object": "db/password", "service-account": "web"}
)

// fixture is one test's part of a Vault: a Transit engine with the keys kms and
// other, a JWT auth mount with the role web, and an AppRole with the role node,
// both of whose policy is the one that docs/keys/vault.md gives to a KMS plugin.
type fixture struct {
	*vaultserver.Server
	proxy    *faultproxy.Proxy
	issuer   *issuer.Issuer
	name     string // of the mounts and the policy, with a suffix
	roleID   string
	secretID string
}

func newFixture(t *testing.T, about map[string]any) *fixture {
	t.Helper()
	proxy, err := faultproxy.New(shared.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	signer, err := issuer.New()
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{Server: shared, proxy: proxy, issuer: signer, name: fmt.Sprintf("k%d", mounts.Add(1))}
	f.Must(t, "POST", "sys/mounts/"+f.transit(), map[string]any{"type": "transit"})
	for _, name := range []string{"kms", "other"} {
		f.Must(t, "POST", f.transit()+"/keys/"+name, about)
		f.policyText(t, f.name+"-"+name, fmt.Sprintf(`
			path "%[1]s/keys/%[2]s"    { capabilities = ["read"] }
			path "%[1]s/encrypt/%[2]s" { capabilities = ["update"] }
			path "%[1]s/decrypt/%[2]s" { capabilities = ["update"] }`, f.transit(), name))
	}
	policies := []string{"default", f.name + "-kms", f.name + "-other"}
	f.Must(t, "POST", "sys/auth/"+f.jwt(), map[string]any{"type": "jwt"})
	f.Must(t, "POST", "auth/"+f.jwt()+"/config", map[string]any{"jwt_validation_pubkeys": []string{signer.PublicKeyPEM()}})
	f.role(t, "web", "prod", "web", policies...)
	f.Must(t, "POST", "sys/auth/"+f.approle(), map[string]any{"type": "approle"})
	f.Must(t, "POST", "auth/"+f.approle()+"/role/node", map[string]any{"token_policies": policies, "token_ttl": "1h"})
	f.roleID = f.text(t, "GET", "auth/"+f.approle()+"/role/node/role-id", "role_id")
	f.secretID = f.text(t, "POST", "auth/"+f.approle()+"/role/node/secret-id", "secret_id")
	return f
}

func (f *fixture) transit() string { return f.name + "-transit" }
func (f *fixture) jwt() string     { return f.name + "-jwt" }
func (f *fixture) approle() string { return f.name + "-approle" }

func (f *fixture) text(t *testing.T, method, path, field string) string {
	t.Helper()
	text, ok := f.Must(t, method, path, map[string]any{}).Data[field].(string)
	if !ok {
		t.Fatalf("%s %s has no %s", method, path, field)
	}
	return text
}

func (f *fixture) policyText(t *testing.T, name, text string) {
	t.Helper()
	f.Must(t, "PUT", "sys/policies/acl/"+name, map[string]any{"policy": text})
}

// role makes a role of the JWT mount for one service account alone.
func (f *fixture) role(t *testing.T, name, namespace, account string, policies ...string) {
	t.Helper()
	f.Must(t, "POST", "auth/"+f.jwt()+"/role/"+name, map[string]any{
		"role_type": "jwt", "user_claim": "sub", "bound_audiences": []string{"vault"},
		"bound_claims":   map[string]any{"/kubernetes.io/namespace": namespace, "/kubernetes.io/serviceaccount/name": account},
		"token_policies": policies, "token_ttl": "1h",
	})
}

// token is a service account's token for Vault.
func (f *fixture) token(t *testing.T, namespace, account string) string {
	t.Helper()
	token, err := f.issuer.Token(issuer.Claims{
		Audience: "vault", Namespace: namespace, ServiceAccount: account, UID: "sa-uid-of-" + namespace + account,
		Pod: account + "-0", PodUID: "uid-of-" + account,
	})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// pod is a pod of a service account with its token for Vault.
func (f *fixture) pod(t *testing.T, namespace, account string) identity.Identity {
	t.Helper()
	return identity.Identity{
		Cluster: "test", Namespace: namespace, ServiceAccount: account, Pod: account + "-0", PodUID: "uid-of-" + account,
		Tokens: map[string]identity.Token{"vault": {JWT: secret.NewString(f.token(t, namespace, account))}},
	}
}

func (f *fixture) rotate(t *testing.T) {
	t.Helper()
	f.Must(t, "POST", f.transit()+"/keys/kms/rotate", map[string]any{})
}

// asPod and asNode are auth settings.
func (f *fixture) asPod(role string) map[string]any {
	return map[string]any{"method": "jwt", "mount": f.jwt(), "role": role}
}

func (f *fixture) asNode(t *testing.T) map[string]any {
	t.Helper()
	return map[string]any{"method": "approle", "mount": f.approle(), "roleID": f.roleID, "secretIDFile": file(t, f.secretID)}
}

// file is the path of a private file with the content.
func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// settings are those of the key kms through the proxy.
func (f *fixture) settings(auth, more map[string]any) key.Settings {
	fields := map[string]any{"address": f.proxy.Address, "mount": f.transit(), "key": "kms", "retries": 1, "auth": auth}
	maps.Copy(fields, more)
	return key.Settings{Fields: fields, ByOperator: true}
}

// open opens a key that ends with the test.
func open(t *testing.T, settings key.Settings) key.Key {
	t.Helper()
	opened, err := vault.NewType(vault.Options{}).Open(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	return opened
}

func encrypt(t *testing.T, with key.Key, as identity.Identity, plaintext string, bound key.Context) key.Ciphertext {
	t.Helper()
	made, err := with.Encrypt(t.Context(), as, secret.NewString(plaintext), bound)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// wantPlain checks that the ciphertext decrypts to the plaintext.
func wantPlain(t *testing.T, with key.Key, as identity.Identity, made key.Ciphertext, bound key.Context, plaintext string) {
	t.Helper()
	plain, err := with.Decrypt(t.Context(), as, made, bound)
	if err != nil || plain.RevealString() != plaintext {
		t.Errorf("Decrypt: %d bytes, error %v", plain.Len(), err)
	}
}
