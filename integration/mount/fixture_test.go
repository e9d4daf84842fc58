package mount

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	secretsstore "sigs.k8s.io/secrets-store-csi-driver/pkg/secrets-store"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/integration/lanyardserver"
	"github.com/lanyardhq/lanyard/integration/vaultserver"
	"github.com/lanyardhq/lanyard/provider/seal"
)

const cluster = "test-cluster"

// node is what a test runs on: a provider, the driver's client, and the stores
// behind the provider.
type node struct {
	vault    *vaultserver.Server
	proxy    *faultproxy.Proxy // between the provider and vault
	issuer   *issuer.Issuer
	ring     *seal.KeyRing
	ringFile string
	files    string // the file store's directory
	provider *lanyardserver.Server
	driver   *secretsstore.PluginClientBuilder
	pods     atomic.Int64 // how many have been made
	// once are the runs of lanyard agent that do the work in place of the provider and
	// the driver; nil where those do.
	once *agentRuns
}

// setup is how a node's provider is configured.
type setup struct {
	cache  string             // fields of the configuration's cache, in flow style
	bounds string             // the same of bounds
	auth   string             // fields of the Vault store's auth; empty means the jwt method
	vault  string             // further fields of the Vault store
	more   string             // further fields of the configuration
	sealed func(*node) string // further fields of the sealed store; nil for none
	flags  []string
	agent  bool // lanyard agent does the work of the provider and the driver
}

// quick is a configuration that reads again after a second, as often as the
// provider can.
func quick() setup {
	return setup{cache: "refresh: 1s, staleOnError: 10m", vault: "retries: 0"}
}

func newNode(t *testing.T, s setup) *node {
	t.Helper()
	n := &node{vault: vaultserver.New(t, vaultserver.Options{}), files: t.TempDir(), ringFile: filepath.Join(t.TempDir(), "ring.yaml")}
	var err error
	if n.issuer, err = issuer.New(); err != nil {
		t.Fatal(err)
	}
	if n.proxy, err = faultproxy.New(n.vault.Address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.proxy.Close)
	if n.ring, err = seal.NewKeyRing(cluster, time.Now()); err != nil {
		t.Fatal(err)
	}
	n.writeRing(t, n.ring)
	n.prepareVault(t)
	if s.agent {
		n.once = newAgentRuns(t, n.config(s), s.flags)
		return n
	}
	n.provider = lanyardserver.New(t, lanyardserver.Options{Binary: binary, Config: n.config(s), Flags: s.flags})
	n.driver = n.newDriver(t)
	return n
}

// newDriver is the client of a driver that has just started.
func (n *node) newDriver(t *testing.T) *secretsstore.PluginClientBuilder {
	builder := secretsstore.NewPluginClientBuilder([]string{n.provider.SocketDir})
	t.Cleanup(builder.Cleanup)
	return builder
}

// config is the operator's file: three named stores, of which Vault's role is
// left to the classes.
func (n *node) config(s setup) string {
	if s.auth == "" {
		s.auth = "method: jwt"
	}
	sealed := ""
	if s.sealed != nil {
		sealed = ", " + s.sealed(n)
	}
	return fmt.Sprintf(`cluster: %s
cache: {%s}
bounds: {%s}
stores:
  vault:
    type: vault
    address: %s
    auth: {%s}
    %s
  files: {type: file, root: %s, allow: ["shop/*"]}
  sealed: {type: sealed, keyRing: %s%s}
%s
`, cluster, s.cache, s.bounds, n.proxy.Address, s.auth, s.vault, n.files, n.ringFile, sealed, s.more)
}

func (n *node) writeRing(t *testing.T, ring *seal.KeyRing) {
	t.Helper()
	text, err := ring.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	next := n.ringFile + ".next"
	if err := os.WriteFile(next, text.Reveal(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, n.ringFile); err != nil {
		t.Fatal(err)
	}
}

// prepareVault makes KV version 2 at secret/ and two roles: web is for the
// service account shop/web, all for every service account of shop, which reads
// secret/data/all/ and what is below secret/data/own/ under its own name.
func (n *node) prepareVault(t *testing.T) {
	t.Helper()
	post := func(path string, body map[string]any) { n.vault.Must(t, http.MethodPost, path, body) }
	post("sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]any{"version": "2"}})
	post("sys/auth/jwt", map[string]any{"type": "jwt"})
	post("auth/jwt/config", map[string]any{"jwt_validation_pubkeys": []string{n.issuer.PublicKeyPEM()}, "bound_issuer": issuer.Name})
	post("sys/policies/acl/web", map[string]any{"policy": `
path "secret/data/web/*" { capabilities = ["read"] }
path "secret/data/all/*" { capabilities = ["read"] }
path "pki/issue/web"     { capabilities = ["create", "update"] }`})
	accessor := n.vault.Must(t, http.MethodGet, "sys/auth", nil).Data["jwt/"].(map[string]any)["accessor"].(string)
	post("sys/policies/acl/all", map[string]any{"policy": `
path "secret/data/all/*" { capabilities = ["read"] }
path "secret/data/own/{{identity.entity.aliases.` + accessor + `.name}}/*" { capabilities = ["read"] }`})
	role := func(name, subject string) {
		post("auth/jwt/role/"+name, map[string]any{
			"role_type": "jwt", "user_claim": "sub", "bound_audiences": []string{"vault"},
			"bound_claims_type": "glob", "bound_claims": map[string]any{"sub": subject},
			"token_policies": []string{name}, "token_ttl": "1h",
		})
	}
	role("web", "system:serviceaccount:shop:web")
	role("all", "system:serviceaccount:shop:*")
	waitFor(t, "the key/value engine to be upgraded", func() bool {
		return n.vault.Call(t.Context(), http.MethodPost, "secret/data/all/ready", map[string]any{"data": map[string]any{"ready": "yes"}}, nil) == nil
	})
}

// put writes a new version of a secret of KV version 2.
func (n *node) put(t *testing.T, key string, data map[string]any) {
	t.Helper()
	n.vault.Must(t, http.MethodPost, "secret/data/"+key, map[string]any{"data": data})
}

// own is where the pod's service account has secrets of its own.
func (p pod) own(name string) string {
	return "own/system:serviceaccount:" + p.namespace + ":" + p.account + "/" + name
}

// seal seals a value for a pod and an object on this node.
func (n *node) seal(t *testing.T, p pod, object, value string) string {
	t.Helper()
	return sealTo(t, n.ring.Public(), scopeOf(p, object), value)
}

// waitFor asks again and again until ok, with no claim as to how long it takes.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited for %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
