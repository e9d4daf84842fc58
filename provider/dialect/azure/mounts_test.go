package azure_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/config"
	dialect "github.com/lanyardhq/lanyard/provider/dialect/azure"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/fault"
)

// request asks for the objects of these names and types.
func (n *node) request(objects ...string) engine.Request {
	text := "array:\n"
	for _, object := range objects {
		text += "- '" + object + "'\n"
	}
	return engine.Request{Dialect: dialect.Name, Identity: n.pod, Parameters: map[string]string{
		"keyvaultName": "web-kv", "clientID": "client-of-web", "tenantID": azuretest.Tenant, "objects": text,
	}}
}

func TestAFailedMountNamesEveryObjectWithItsCause(t *testing.T) {
	n := newNode(t)
	vault := n.azure.Vault("web-kv")
	vault.Put("off", "hunter2")
	vault.Disable("secrets/off", "")
	chain := azuretest.NewChain(t, 0, "web.example.com")
	vault.PutCertificate("locked", azuretest.Certificate{ContentType: "application/x-pkcs12", Value: chain.PFX(t, "hunter2")})
	_, err := n.Mount(t.Context(), n.request(
		`{objectName: secret1, objectType: secret}`,
		`{objectName: missing, objectType: secret, objectAlias: one}`,
		`{objectName: off, objectType: secret}`,
		`{objectName: locked, objectType: secret, objectAlias: tls.pem}`,
		`{objectName: hex, objectType: secret, objectEncoding: base64}`,
		`{objectName: web, objectType: cert, objectVersion: "00"}`,
	))
	if err == nil {
		t.Fatal("mounted")
	}
	for _, want := range []string{
		"object 2 (one)", "secrets/missing: Key Vault has no such secret",
		"object 3 (off)", "secrets/off: this version of the secret is disabled",
		"object 4 (tls.pem)", "secrets/locked: the PFX is protected by a password",
		"object 6 (web)", "certificates/web/00: Key Vault has no such certificate",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "object 1") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error tells what it should not:\n%v", err)
	}
}

// A first mount of 20 secrets takes a login, which is two calls, and one round
// of reads side by side, whatever their number.
func TestAFirstMountReadsSideBySide(t *testing.T) {
	n := newNode(t)
	vault := n.azure.Vault("web-kv")
	objects := make([]string, 20)
	for i := range objects {
		vault.Put(fmt.Sprint("s", i), "v")
		objects[i] = fmt.Sprintf("{objectName: s%d, objectType: secret}", i)
	}
	n.azure.Add(azuretest.Fault{Action: "get secrets", Together: len(objects)})
	if _, err := n.Mount(t.Context(), n.request(objects...)); err != nil {
		t.Fatal(err)
	}
	if calls := n.azure.Calls(""); calls != 22 {
		t.Errorf("%d calls, want two for the login and 20 for the secrets", calls)
	}
}

// The operator may let classes choose among the node's identities, and nothing else.
func TestAClassMayChooseAmongTheNodesIdentities(t *testing.T) {
	n := newNode(t)
	n.azure.SetMachine("", "client-of-nodes", "client-of-shop")
	n.azure.Vault("web-kv").Grant("client-of-shop", "secrets/secret1")
	cfg := n.Config()
	node := cfg.Stores[dialect.NodeStoreName]
	node.Override = map[string][]string{"auth.identityID": {"client-of-sh*"}}
	cfg.Stores = map[string]config.Store{dialect.NodeStoreName: node}
	if err := n.Configure(cfg); err != nil {
		t.Fatal(err)
	}
	mount := func(identity, name string) error {
		request := n.request(fmt.Sprintf("{objectName: %s, objectType: secret}", name))
		delete(request.Parameters, "clientID")
		request.Parameters["useVMManagedIdentity"], request.Parameters["userAssignedIdentityID"] = "true", identity
		_, err := n.Mount(t.Context(), request)
		return err
	}
	if err := mount("client-of-shop", "secret1"); err != nil {
		t.Error(err)
	}
	if err := mount("client-of-shop", "db-password"); !errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), "client-of-shop") {
		t.Errorf("what the other identity may read: %v", err)
	}
	if err := mount("client-of-bank", "secret1"); err == nil || !strings.Contains(err.Error(), "userAssignedIdentityID: the operator's configuration of store azure-node lets classes give client-of-sh* here") {
		t.Errorf("an identity that is not listed: %v", err)
	}
	node.Override = map[string][]string{"auth.identityID": {"client-of-sh*"}, "auth.metadataEndpoint": {"*"}, "authorityHost": {"*"}}
	cfg.Stores = map[string]config.Store{dialect.NodeStoreName: node}
	err := n.Configure(cfg)
	for _, setting := range []string{"auth.metadataEndpoint", "authorityHost"} {
		if want := "stores.azure-node.override." + setting + ": is not allowed"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if err != nil && strings.Contains(err.Error(), "identityID") {
		t.Errorf("the identity is refused too: %v", err)
	}
}

func TestWhatWasReadStaysWhileTheVaultIsAway(t *testing.T) {
	n := newNode(t)
	request := n.request(`{objectName: secret1, objectType: secret}`)
	if _, err := n.Mount(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	n.azure.Add(azuretest.Throttled(0))
	n.passed.Store(int64(n.Config().Cache.Refresh + time.Second))
	volume, err := n.Mount(t.Context(), request)
	if err != nil || string(volume.Files[0].Contents) != "value of secret1" {
		t.Errorf("while the vault is throttling: %v", err)
	}
	_, err = n.Mount(t.Context(), n.request(`{objectName: config, objectType: secret}`))
	if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "throttling (429)") {
		t.Errorf("what was never read: %v", err)
	}
}

// What the page about coming from the original says of the files that the
// add-on of AKS makes besides.
func TestKeyAndCertificateInTwoFilesComeOfOneCall(t *testing.T) {
	n := newNode(t)
	request := engine.Request{Dialect: "lanyard", Identity: n.pod, Parameters: map[string]string{
		"stores": "azure: {vault: web-kv, tenantID: " + azuretest.Tenant + ", auth: {clientID: client-of-web}}",
		"objects": `
- {path: web.crt, store: azure, key: certificates/web, options: {part: pair}, property: '"tls.crt"'}
- {path: web.key, store: azure, key: certificates/web, options: {part: pair}, property: '"tls.key"'}
`,
	}}
	volume, err := n.Mount(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.X509KeyPair(volume.Files[0].Contents, volume.Files[1].Contents); err != nil {
		t.Error(err)
	}
	if calls := n.azure.Calls("get secrets"); calls != 1 {
		t.Errorf("%d calls, want 1", calls)
	}
}
