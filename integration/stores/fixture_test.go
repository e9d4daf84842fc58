// Package stores runs the stores against the real systems: the Vault store
// against a real Vault with real logins, engines and leases.
package stores

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/integration/vaultserver"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/vault"
)

// shared is the Vault of all tests that do not seal it; each test has its own
// mounts there.
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

// fixture is one test's part of a Vault: a JWT auth mount with the role web,
// KV of both versions, and a policy that allows all of it.
type fixture struct {
	*vaultserver.Server
	proxy  *faultproxy.Proxy
	issuer *issuer.Issuer
	name   string // of the mounts and the policy, with a suffix
	pod    identity.Identity
}

func newFixture(t *testing.T, server *vaultserver.Server) *fixture {
	t.Helper()
	proxy, err := faultproxy.New(server.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	signer, err := issuer.New()
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{Server: server, proxy: proxy, issuer: signer, name: fmt.Sprintf("t%d", mounts.Add(1))}
	f.pod = f.podOf(t, "prod", "web")
	f.mount(t, f.kv1(), "kv", map[string]any{"options": map[string]any{"version": "1"}})
	f.mount(t, f.kv2(), "kv", map[string]any{"options": map[string]any{"version": "2"}})
	f.policy(t, f.kv1(), f.kv2())
	f.Must(t, "POST", "sys/auth/"+f.jwt(), map[string]any{"type": "jwt"})
	f.Must(t, "POST", "auth/"+f.jwt()+"/config", map[string]any{"jwt_validation_pubkeys": []string{f.issuer.PublicKeyPEM()}})
	f.role(t, nil)
	return f
}

func (f *fixture) jwt() string { return f.name + "-jwt" }
func (f *fixture) kv1() string { return f.name + "-kv1" }
func (f *fixture) kv2() string { return f.name + "-kv2" }

func (f *fixture) mount(t *testing.T, path, engine string, more map[string]any) {
	t.Helper()
	body := map[string]any{"type": engine}
	for name, value := range more {
		body[name] = value
	}
	f.Must(t, "POST", "sys/mounts/"+path, body)
}

// policy allows everything below the paths, and nothing below their deny/.
func (f *fixture) policy(t *testing.T, paths ...string) {
	t.Helper()
	text := ""
	for _, path := range paths {
		text += fmt.Sprintf("path %q { capabilities = [\"create\",\"read\",\"update\",\"list\"] }\n", path+"/*")
		text += fmt.Sprintf("path %q { capabilities = [\"deny\"] }\n", path+"/deny/*")
	}
	f.Must(t, "PUT", "sys/policies/acl/"+f.name, map[string]any{"policy": text})
}

// role makes the role web of the JWT mount, for the service account web of the
// namespace prod alone.
func (f *fixture) role(t *testing.T, more map[string]any) {
	t.Helper()
	body := map[string]any{
		"role_type": "jwt", "user_claim": "sub", "bound_audiences": []string{"vault"},
		"bound_claims":   map[string]any{"/kubernetes.io/namespace": "prod", "/kubernetes.io/serviceaccount/name": "web"},
		"token_policies": []string{"default", f.name}, "token_ttl": "1h",
		// Vault keeps what it is not told.
		"token_max_ttl": 0, "token_period": 0, "token_num_uses": 0, "token_type": "default",
	}
	for name, value := range more {
		body[name] = value
	}
	f.Must(t, "POST", "auth/"+f.jwt()+"/role/web", body)
}

// podOf is a pod of a service account with its token for Vault.
func (f *fixture) podOf(t *testing.T, namespace, account string) identity.Identity {
	t.Helper()
	token, err := f.issuer.Token(issuer.Claims{
		Audience: "vault", Namespace: namespace, ServiceAccount: account, UID: "sa-uid-of-" + account,
		Pod: account + "-0", PodUID: "uid-of-" + account,
	})
	if err != nil {
		t.Fatal(err)
	}
	return identity.Identity{
		Cluster: "test", Namespace: namespace, ServiceAccount: account, Pod: account + "-0", PodUID: "uid-of-" + account,
		Tokens: map[string]identity.Token{"vault": {JWT: secret.NewString(token)}},
	}
}

// settings are those of the JWT role through the proxy.
func (f *fixture) settings() map[string]any {
	return map[string]any{
		"address": f.proxy.Address,
		"auth":    map[string]any{"method": "jwt", "mount": f.jwt(), "role": "web"},
	}
}

// open opens a store that ends with the test.
func open(t *testing.T, fields map[string]any) store.Store {
	t.Helper()
	opened, err := vault.NewType(vault.Options{}).Open(store.Settings{Fields: fields, ByOperator: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	return opened
}

// rewrite changes the answers to reads of KV version 2.
func (f *fixture) rewrite() func(change func(body []byte) []byte) {
	end := func() {}
	return func(change func(body []byte) []byte) {
		end()
		end = func() {}
		if change != nil {
			end = f.proxy.Add(faultproxy.Fault{Prefix: f.kv2(), Rewrite: change})
		}
	}
}

// throttling has Vault refuse calls to the prefix as beyond a rate limit quota.
func (f *fixture) throttling(prefix string) func(times int, after time.Duration) (undo func()) {
	return func(times int, after time.Duration) func() {
		return f.proxy.Add(faultproxy.Fault{
			Prefix: prefix, Times: times, Status: http.StatusTooManyRequests, Body: `{"errors":["request path \"x\": rate limit quota exceeded"]}`,
			Header: http.Header{"Retry-After": {strconv.Itoa(int(after.Seconds()))}},
		})
	}
}

// put writes a version of a KV version 2 secret.
func (f *fixture) put(t *testing.T, name string, data map[string]any) store.Reference {
	t.Helper()
	key := f.kv2() + "/data/" + name
	f.Must(t, "POST", key, map[string]any{"data": data})
	return store.Reference{Key: key}
}

// logins is how many logins came through the proxy.
func (f *fixture) logins() int { return f.proxy.Count(http.MethodPost, "auth/"+f.jwt()+"/login") }

func mustRead(t *testing.T, s store.Store, as identity.Identity, ref store.Reference) store.Value {
	t.Helper()
	if err := s.Check(ref); err != nil {
		t.Fatal(err)
	}
	value, err := s.Read(t.Context(), as, ref)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// field is one field of a value.
func field(t *testing.T, value store.Value, name string) string {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(value.Data.Reveal(), &fields); err != nil {
		t.Fatal(err)
	}
	text, ok := fields[name].(string)
	if !ok {
		t.Fatalf("the value has no text %q", name)
	}
	return text
}
