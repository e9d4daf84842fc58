package dialects

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
)

// azureAudience is that of the tokens that Entra ID takes.
const azureAudience = "api://AzureADTokenExchange"

// ownAzure is an Azure whose vault holds what testdata/vault.yaml of the
// dialect says. The pods of shop/web may read all of it, and so may the node.
func ownAzure(t *testing.T) (*azuretest.Server, *issuer.Issuer) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(testdata("azure"), "vault.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return azureOf(t, map[string][]byte{"web-kv": content})
}

// azureOf is an Azure with vaults of this content, by their names.
func azureOf(t *testing.T, vaults map[string][]byte) (*azuretest.Server, *issuer.Issuer) {
	t.Helper()
	server := azuretest.New(t)
	from, err := issuer.New()
	if err != nil {
		t.Fatal(err)
	}
	server.Trust(issuer.Name, from.PublicKey())
	server.Federate("client-of-web", azuretest.Federation{Issuer: issuer.Name, Subject: identitytest.Subject("shop/web"), Audience: azureAudience})
	server.SetMachine("", "client-of-nodes")
	for name, content := range vaults {
		vault := server.Vault(name)
		if err := vault.Load(content); err != nil {
			t.Fatal(err)
		}
		for _, client := range []string{"client-of-web", "client-of-nodes"} {
			vault.Grant(client, "*")
		}
	}
	return server, from
}

// newAzureNode is a node whose operator names the stores that classes of the
// dialect read from.
func newAzureNode(t *testing.T, server *azuretest.Server, from *issuer.Issuer) *node {
	t.Helper()
	return newNode(t, "lanyard,azure", azureConfig(t, server), from, azureAudience)
}

func azureConfig(t *testing.T, server *azuretest.Server) string {
	t.Helper()
	authority := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(authority, []byte(server.CACert), 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`
stores:
  azure:
    type: azure-key-vault
    endpoint: %[1]s
    authorityHost: %[2]s
    tls: {caCertFile: %[3]s}
  azure-node:
    type: azure-key-vault
    allow: [shop/web]
    endpoint: %[1]s
    auth: {method: managedIdentity, identityID: client-of-nodes, metadataEndpoint: "%[4]s"}
    tls: {caCertFile: %[3]s}
`, server.Endpoint, server.Authority, authority, server.Metadata)
}

func TestAzureClassesMakeTheirFiles(t *testing.T) {
	server, from := ownAzure(t)
	goldens(t, newAzureNode(t, server, from), "azure")
}

// Without a store of the operator's the class says which vault it is; the
// node's own identity and files are not its to name.
func TestAzureClassesOfTheirOwn(t *testing.T) {
	_, from := ownAzure(t)
	n := newNode(t, "azure", "{}", from, azureAudience)
	for name, test := range map[string]struct{ parameters, want map[string]string }{
		"the node's identity":  {map[string]string{"useVMManagedIdentity": "true"}, map[string]string{"useVMManagedIdentity": "reads with the node's own identity"}},
		"a file of the node":   {map[string]string{"clientID": "c", "cloudName": "AzureStackCloud", "cloudEnvFileName": "/etc/passwd"}, map[string]string{"cloudName": "AzureStackCloud is described by a file of the node"}},
		"a vault that is none": {map[string]string{"clientID": "c", "keyvaultName": "https://web-kv"}, map[string]string{"keyvaultName": "must be the name alone"}},
	} {
		t.Run(name, func(t *testing.T) {
			var m manifest
			m.Spec.Provider = "azure"
			m.Spec.Parameters = map[string]string{"keyvaultName": "web-kv", "tenantID": azuretest.Tenant, "objects": "array:\n- |\n  objectName: secret1\n  objectType: secret\n"}
			for parameter, value := range test.parameters {
				m.Spec.Parameters[parameter] = value
			}
			err := n.mount(t.Context(), n.pod(t, "shop", "web"), m)
			if err == nil {
				t.Fatal("mounted")
			}
			for parameter, want := range test.want {
				if !strings.Contains(err.Error(), parameter+": "+want) {
					t.Errorf("%q is not in %v", parameter+": "+want, err)
				}
			}
		})
	}
}
