package dialects

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/integration/vaultserver"
)

// ownVault is a Vault that holds what testdata/vault.yaml of the dialect says,
// with the auth method jwt at two mounts. The role web is for shop/web.
func ownVault(t *testing.T) (*vaultserver.Server, *issuer.Issuer) {
	t.Helper()
	return vaultOf(t, filepath.Join(testdata("vault"), "vault.yaml"), "jwt", "second")
}

// vaultOf is a Vault that holds what the file says, with the auth method jwt at the
// mounts.
func vaultOf(t *testing.T, file string, mounts ...string) (*vaultserver.Server, *issuer.Issuer) {
	t.Helper()
	server := vaultserver.New(t, vaultserver.Options{})
	from, err := issuer.New()
	if err != nil {
		t.Fatal(err)
	}
	var requests []struct {
		Path string         `json:"path"`
		Body map[string]any `json:"body"`
		JSON string         `json:"json"` // a body whose numbers have to stay as they are
	}
	readYAML(t, file, &requests)
	for _, r := range requests {
		var body any = r.Body
		if r.JSON != "" {
			body = json.RawMessage(r.JSON)
		}
		server.Must(t, http.MethodPost, r.Path, body)
	}
	for _, mount := range mounts {
		server.Must(t, http.MethodPost, "sys/auth/"+mount, map[string]any{"type": "jwt"})
		server.Must(t, http.MethodPost, "auth/"+mount+"/config", map[string]any{"jwt_validation_pubkeys": []string{from.PublicKeyPEM()}, "bound_issuer": issuer.Name})
		for role, audiences := range map[string][]string{"web": {"vault", "openbao"}, "custom-audience": {"vault-custom"}} {
			server.Must(t, http.MethodPost, "auth/"+mount+"/role/"+role, map[string]any{
				"role_type": "jwt", "user_claim": "sub", "bound_audiences": audiences,
				"bound_subject": "system:serviceaccount:shop:web", "token_policies": []string{"web"}, "token_ttl": "1h",
			})
		}
	}
	return server, from
}

// newVaultNode is a node whose operator names the store vault, leaves another
// mount to the classes, and ignores what they say of the way to Vault.
func newVaultNode(t *testing.T) *node {
	t.Helper()
	server, from := ownVault(t)
	return newNode(t, "lanyard,vault", fmt.Sprintf(`
stores:
  vault:
    type: vault
    address: %s
    auth: {method: jwt}
    override: {auth.mount: [jwt, second]}
    ignore: [address, tls]
`, server.Address), from, "vault", "vault-custom")
}

func TestVaultClassesMakeTheirFiles(t *testing.T) { goldens(t, newVaultNode(t), "vault") }

// What the goldens cannot say of values that are made anew.
func TestVaultFilesOfOneRequestBelongTogether(t *testing.T) {
	n := newVaultNode(t)
	read := func(name string) map[string]file {
		var class manifest
		readYAML(t, filepath.Join(testdata("vault"), name, "class.yaml"), &class)
		p := n.pod(t, "shop", "web")
		if err := n.mount(t.Context(), p, class); err != nil {
			t.Fatal(err)
		}
		return p.files(t)
	}
	pair := read("pki-certificate")
	if _, err := tls.X509KeyPair(pair["tls.crt"].contents, pair["tls.key"].contents); err != nil {
		t.Errorf("the key is not the certificate's: %v", err)
	}
	password := read("one-time-password")
	if otp := string(password["otp"].contents); !strings.Contains(string(password["otp.json"].contents), `"key":"`+otp+`"`) {
		t.Errorf("the key %s is not that of the whole answer", otp)
	}
}

// Without a store of the operator's the class says where Vault is; the files of
// the node are not its to name.
func TestVaultClassWithItsOwnStore(t *testing.T) {
	server, from := ownVault(t)
	n := newNode(t, "vault", "policy: {classStores: ['*', 127.0.0.0/8]}", from, "vault")
	class := func(parameters map[string]string) manifest {
		var m manifest
		m.Spec.Provider = "vault"
		m.Spec.Parameters = map[string]string{"objects": "- {objectName: user, secretPath: secret/data/db, secretKey: username}"}
		for name, value := range parameters {
			m.Spec.Parameters[name] = value
		}
		return m
	}
	p := n.pod(t, "shop", "web")
	if err := n.mount(t.Context(), p, class(map[string]string{"vaultAddress": server.Address + "/", "roleName": "web", "vaultAuthMountPath": "jwt", "vaultSkipTLSVerify": "true"})); err != nil {
		t.Fatal(err)
	}
	if got := string(p.files(t)["user"].contents); got != "app" {
		t.Errorf("the file holds %q", got)
	}
	for name, test := range map[string]struct {
		parameters map[string]string
		want       []string
	}{
		"nothing": {nil, []string{"vaultAddress: is missing", "roleName: is missing"}},
		"files of the node": {
			map[string]string{"vaultAddress": "https://vault:8200", "roleName": "web", "vaultCACertPath": "/etc/passwd", "vaultTLSClientCertPath": "/a", "vaultTLSClientKeyPath": "/b"},
			[]string{"vaultCACertPath: reads a file of the node", "vaultTLSClientCertPath: reads a file of the node", "vaultTLSClientKeyPath: reads a file of the node"},
		},
		"a path that leaves its place": {
			map[string]string{"vaultAddress": server.Address, "roleName": "web", "objects": "- {objectName: a, secretPath: secret/data/../../sys/mounts}"},
			[]string{"object 1 (a): secretPath: must be a path such as"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := n.mount(t.Context(), n.pod(t, "shop", "web"), class(test.parameters))
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
		})
	}
}

// The operator's word holds where nothing is left to the class.
func TestVaultClassCannotChangeWhatTheOperatorSets(t *testing.T) {
	server, from := ownVault(t)
	n := newNode(t, "lanyard,vault", fmt.Sprintf("stores: {vault: {type: vault, address: '%s', auth: {method: jwt, mount: jwt}, override: {address: ['https://vault-*:8200']}}}", server.Address), from, "vault")
	var class manifest
	class.Spec.Provider = "vault"
	class.Spec.Parameters = map[string]string{
		"roleName": "web", "vaultAddress": "https://evil:8200", "vaultAuthMountPath": "second", "vaultSkipTLSVerify": "true",
		"objects": "- {objectName: user, secretPath: secret/data/db, secretKey: username}",
	}
	err := n.mount(t.Context(), n.pod(t, "shop", "web"), class)
	for _, want := range []string{
		"vaultAddress: the operator's configuration of store vault lets classes give https://vault-*:8200 here",
		"vaultAuthMountPath: pinned by the operator's configuration of store vault",
		"vaultSkipTLSVerify: pinned by the operator's configuration of store vault",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}
