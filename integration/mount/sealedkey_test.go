package mount

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/key/vault"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// prepareTransit makes a derived key called sealed, and a role of shop/web that
// may decrypt with it alone, and returns the key as who seals knows it.
func (n *node) prepareTransit(t *testing.T) *seal.ServiceKey {
	t.Helper()
	post := func(path string, body map[string]any) { n.vault.Must(t, http.MethodPost, path, body) }
	post("sys/mounts/transit", map[string]any{"type": "transit"})
	post("transit/keys/sealed", map[string]any{"derived": true})
	post("sys/policies/acl/sealed-shop", map[string]any{"policy": `path "transit/decrypt/sealed" { capabilities = ["update"] }`})
	post("auth/jwt/role/sealed-shop", map[string]any{
		"role_type": "jwt", "user_claim": "sub", "bound_audiences": []string{"vault"},
		"bound_claims": map[string]any{"sub": "system:serviceaccount:shop:web"}, "token_policies": []string{"sealed-shop"}, "token_ttl": "1h",
	})
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(n.vault.RootToken), 0o600); err != nil {
		t.Fatal(err)
	}
	opened, err := vault.NewType(vault.Options{}).Open(key.Settings{ByOperator: true, Fields: map[string]any{
		"address": n.vault.Address, "key": "sealed", "auth": map[string]any{"method": "tokenFile", "tokenFile": token},
	}})
	if err != nil {
		t.Fatal(err)
	}
	with, err := seal.NewServiceKey("prod", opened, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(with.Close)
	return with
}

func sealWith(t *testing.T, with *seal.ServiceKey, scope seal.Scope, value string, options ...seal.Option) string {
	t.Helper()
	text, err := seal.SealWith(t.Context(), with, scope, secret.NewString(value), options...)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sealedByVault are the fields of a sealed store whose values Vault opens, for
// each namespace with its own role.
func sealedByVault(n *node) string {
	return fmt.Sprintf(`keys: [{name: prod, service: {type: vault, address: "%s", key: sealed, auth: {method: jwt, role: "sealed-{namespace}"}}}]`, n.proxy.Address)
}

// The values of one pod are opened by Vault, as the pod, with one call for each
// and one login, beside those of the key ring; a poll asks nobody.
func TestVaultOpensSealedValuesAsThePod(t *testing.T) {
	t.Parallel()
	n := newNode(t, setup{sealed: sealedByVault})
	with := n.prepareTransit(t)
	web := n.pod(t, "shop", "web")
	const values = 20
	var objects strings.Builder
	for i := range values {
		path := fmt.Sprintf("value-%d", i)
		fmt.Fprintf(&objects, "- {path: %s, sealed: %s}\n", path, sealWith(t, with, scopeOf(web, path), "of "+path))
	}
	fmt.Fprintf(&objects, "- {path: token, sealed: %s}\n", n.seal(t, web, "token", "of the ring"))
	c := class{"objects": objects.String()}
	for range 3 {
		n.mounted(t, web, c)
	}
	held := web.holds(t)
	if len(held) != values+1 || held["value-7"] != "of value-7" || held["token"] != "of the ring" {
		t.Errorf("the volume holds %q", held)
	}
	decrypts := n.proxy.Count(http.MethodPost, "transit/decrypt/sealed") + n.proxy.Count(http.MethodPut, "transit/decrypt/sealed")
	logins := n.proxy.Count(http.MethodPost, "auth/jwt/login") + n.proxy.Count(http.MethodPut, "auth/jwt/login")
	if decrypts != values || logins != 1 {
		t.Errorf("%d decryptions and %d logins, want %d and 1", decrypts, logins, values)
	}
}

// What Vault refuses is refused to the pod, which is told why.
func TestVaultRefusesSealedValuesToOthers(t *testing.T) {
	t.Parallel()
	n := newNode(t, setup{sealed: sealedByVault})
	with := n.prepareTransit(t)
	api, bank := n.pod(t, "shop", "api"), n.pod(t, "bank", "web")
	for _, p := range []pod{api, bank} {
		got := n.refused(t, p, class{"objects": "[{path: token, sealed: " + sealWith(t, with, scopeOf(p, "token"), "the value") + "}]"}, codes.Unauthenticated)
		if want := `object 1 (token): sealed: key prod: `; !strings.HasPrefix(got, want) || !strings.Contains(got, `role "sealed-`+p.namespace+`" at auth/jwt`) {
			t.Errorf("error %q", got)
		}
	}
	web := n.pod(t, "shop", "web")
	got := n.refused(t, web, class{"objects": "[{path: token, sealed: " + sealWith(t, with, scopeOf(bank, "token"), "the value") + "}]"}, codes.PermissionDenied)
	if !strings.Contains(got, `sealed for namespace "bank"`) {
		t.Errorf("error %q", got)
	}
}

// Where the operator names sealers, a value that none of them signed gives no
// file, whatever key it is sealed with.
func TestOnlySealersThatTheOperatorNamesAreBelieved(t *testing.T) {
	t.Parallel()
	trusted, err := seal.NewSealer("ci")
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := seal.NewSealer("ci")
	if err != nil {
		t.Fatal(err)
	}
	n := newNode(t, setup{sealed: func(n *node) string {
		return fmt.Sprintf(`%s, sealers: [{name: ci, public: %s, namespaces: [shop]}]`, sealedByVault(n), trusted.Public())
	}})
	with := n.prepareTransit(t)
	web := n.pod(t, "shop", "web")
	n.mounted(t, web, class{"objects": "[{path: token, sealed: " + sealWith(t, with, scopeOf(web, "token"), "the value", seal.SignedBy(trusted)) + "}]"})
	if held := web.holds(t); held["token"] != "the value" {
		t.Errorf("the volume holds %q", held)
	}
	for text, want := range map[string]string{
		n.seal(t, web, "token", "forged"):                                                               "sealed value is not signed",
		sealWith(t, with, scopeOf(web, "token"), "forged"):                                              "sealed value is not signed",
		sealWith(t, with, scopeOf(web, "token"), "forged", seal.SignedBy(stranger)):                     "unknown sealer",
		flipped(t, sealWith(t, with, scopeOf(web, "token"), "forged", seal.SignedBy(trusted)), -1-8*70): "wrong signature",
	} {
		_, err := n.mount(t.Context(), web, class{"objects": "[{path: token, sealed: " + text + "}]"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
