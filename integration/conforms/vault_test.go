package conforms

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/integration/conformance"
	"github.com/lanyardhq/lanyard/integration/faultproxy"
	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/integration/vaultserver"
)

// newVault has KV version 2 in a real Vault, where each service account reads
// what is below its own name, and a proxy before it that counts and refuses.
func newVault(t *testing.T) store {
	t.Helper()
	tokens, err := issuer.New()
	if err != nil {
		t.Fatal(err)
	}
	vault := vaultserver.New(t, vaultserver.Options{})
	prepareVault(t, vault, tokens)
	proxy, err := faultproxy.New(vault.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	repair := func() {}
	path := func(owner conformance.Account, name string) string {
		return "secret/data/own/system:serviceaccount:" + owner.Namespace + ":" + owner.Name + "/" + name
	}
	return store{
		config: "  vault: {type: vault, address: '" + proxy.Address + "', retries: 0, auth: {method: jwt, role: all}}\n",
		put: func(ctx context.Context, owner conformance.Account, name string, value []byte) error {
			return vault.Call(ctx, http.MethodPost, path(owner, name), map[string]any{"data": map[string]any{"value": base64.StdEncoding.EncodeToString(value)}}, nil)
		},
		remove: func(ctx context.Context, owner conformance.Account, name string) error {
			return vault.Call(ctx, http.MethodDelete, strings.Replace(path(owner, name), "secret/data/", "secret/metadata/", 1), nil, nil)
		},
		object: func(owner conformance.Account, object conformance.Object) (map[string]any, error) {
			return map[string]any{"store": "vault", "key": path(owner, object.Name), "property": "value", "encoding": "base64"}, nil
		},
		tokens: tokensFor(tokens),
		reads:  func() int { return proxy.Count(http.MethodGet, "secret/data/") },
		fail: func(context.Context) error {
			repair = proxy.Add(faultproxy.Fault{Refuse: true})
			return nil
		},
		recover: func(context.Context) error { repair(); return nil },
	}
}

// prepareVault makes the engine, the method and a role for every account.
func prepareVault(t *testing.T, vault *vaultserver.Server, tokens *issuer.Issuer) {
	t.Helper()
	post := func(path string, body map[string]any) { vault.Must(t, http.MethodPost, path, body) }
	post("sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]any{"version": "2"}})
	post("sys/auth/jwt", map[string]any{"type": "jwt"})
	post("auth/jwt/config", map[string]any{"jwt_validation_pubkeys": []string{tokens.PublicKeyPEM()}, "bound_issuer": issuer.Name})
	accessor, _ := vault.Must(t, http.MethodGet, "sys/auth", nil).Data["jwt/"].(map[string]any)["accessor"].(string)
	post("sys/policies/acl/all", map[string]any{"policy": `
path "secret/data/own/{{identity.entity.aliases.` + accessor + `.name}}/*" { capabilities = ["read"] }`})
	post("auth/jwt/role/all", map[string]any{
		"role_type": "jwt", "user_claim": "sub", "bound_audiences": []string{"vault"},
		"bound_claims_type": "glob", "bound_claims": map[string]any{"sub": "system:serviceaccount:shop:*"},
		"token_policies": []string{"all"}, "token_ttl": "1h",
	})
	// Version 2 takes a moment to be made.
	for vault.Call(t.Context(), http.MethodPost, "secret/data/ready", map[string]any{"data": map[string]any{"ready": "yes"}}, nil) != nil {
		select {
		case <-t.Context().Done():
			t.Fatal("the key/value engine is not ready")
		case <-time.After(20 * time.Millisecond):
		}
	}
}
