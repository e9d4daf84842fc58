package conforms

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/integration/conformance"
	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
)

// newAzure has a Key Vault in which each service account has a client of its
// own, which may read the secrets that begin with its name.
func newAzure(t *testing.T) store {
	t.Helper()
	server := azuretest.New(t)
	tokens, err := issuer.New()
	if err != nil {
		t.Fatal(err)
	}
	server.Trust(issuer.Name, tokens.PublicKey())
	vault := server.Vault("shop-kv")
	for _, account := range accounts {
		client := "client-of-" + account.Name
		server.Federate(client, azuretest.Federation{Issuer: issuer.Name, Subject: identitytest.Subject(account.String()), Audience: azureAudience})
		vault.Grant(client, "secrets/"+account.Name+"-*")
	}
	authority := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(authority, []byte(server.CACert), 0o600); err != nil {
		t.Fatal(err)
	}
	repair := func() {}
	// Names of objects are letters, digits and dashes.
	name := func(owner conformance.Account, name string) string {
		return owner.Name + "-" + fmt.Sprintf("%x", name)
	}
	return store{
		config: fmt.Sprintf("  azure: {type: azure-key-vault, vault: shop-kv, tenantID: %s, endpoint: '%s', authorityHost: '%s', retries: 0, tls: {caCertFile: %s}}\n",
			azuretest.Tenant, server.Endpoint, server.Authority, authority),
		put: func(_ context.Context, owner conformance.Account, of string, value []byte) error {
			vault.Put(name(owner, of), base64.StdEncoding.EncodeToString(value))
			return nil
		},
		remove: func(_ context.Context, owner conformance.Account, of string) error {
			vault.Delete("secrets/" + name(owner, of))
			return nil
		},
		parameters: func(owner conformance.Account) map[string]string {
			return map[string]string{"stores": "azure: {auth: {clientID: client-of-" + owner.Name + "}}"}
		},
		object: func(owner conformance.Account, object conformance.Object) (map[string]any, error) {
			return map[string]any{"store": "azure", "key": "secrets/" + name(owner, object.Name), "encoding": "base64"}, nil
		},
		tokens: func(_ context.Context, pod conformance.Pod) (map[string]conformance.Token, error) {
			expires := time.Now().Add(time.Hour).Truncate(time.Second)
			text, err := tokens.Token(issuer.Claims{
				Audience: azureAudience, Namespace: pod.Namespace, ServiceAccount: pod.Account.Name,
				UID: "uid-of-" + pod.Account.String(), Pod: pod.Name, PodUID: pod.UID, Expires: expires,
			})
			return map[string]conformance.Token{azureAudience: {Token: text, Expires: expires}}, err
		},
		reads: func() int { return server.Calls("get secrets") },
		fail: func(context.Context) error {
			repair = server.Add(azuretest.Fault{Drop: true})
			return nil
		},
		recover: func(context.Context) error { repair(); return nil },
		// A secret is text of 25 kB, here base64.
		// https://learn.microsoft.com/azure/key-vault/secrets/about-secrets
		largestValue: 18 << 10,
	}
}

// azureAudience is that of the tokens that Entra ID takes.
const azureAudience = "api://AzureADTokenExchange"

// azureClass is a class as users of Azure's provider write it: JSON is the YAML
// of each object.
func azureClass(s store, owner conformance.Account, objects []conformance.Object) (map[string]string, error) {
	type entry struct {
		Name       string `json:"objectName"`
		Alias      string `json:"objectAlias"`
		Type       string `json:"objectType"`
		Encoding   any    `json:"objectEncoding"`
		Permission string `json:"filePermission,omitempty"`
	}
	texts := make([]string, len(objects))
	for i, object := range objects {
		native, err := s.object(owner, object)
		if err != nil {
			return nil, err
		}
		e := entry{Name: strings.TrimPrefix(fmt.Sprint(native["key"]), "secrets/"), Alias: object.Path, Type: "secret", Encoding: native["encoding"]}
		if object.Mode != 0 {
			e.Permission = fmt.Sprintf("%04o", object.Mode)
		}
		text, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		texts[i] = string(text)
	}
	array, err := json.Marshal(map[string][]string{"array": texts})
	return map[string]string{
		"keyvaultName": "shop-kv", "tenantID": azuretest.Tenant, "clientID": "client-of-" + owner.Name, "objects": string(array),
	}, err
}
