package azure_test

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/config"
	dialect "github.com/lanyardhq/lanyard/provider/dialect/azure"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
	"github.com/lanyardhq/lanyard/provider/secret"
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
	n.azure.Add(azuretest.Throttled(600))
	n.passed.Store(int64(n.Config().Cache.Refresh + time.Second))
	volume, err := n.Mount(t.Context(), request)
	if err != nil || string(volume.Files[0].Contents) != "value of secret1" {
		t.Errorf("while the vault is throttling: %v", err)
	}
	_, err = n.Mount(t.Context(), n.request(`{objectName: config, objectType: secret}`))
	if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "is throttling (too many calls)") {
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

// store adds settings to the operator's store of the dialect; nil takes one away.
func (n *node) store(t *testing.T, more map[string]any) {
	t.Helper()
	cfg := n.Config()
	cfg.Stores = maps.Clone(cfg.Stores)
	of := cfg.Stores[dialect.StoreName]
	of.Fields = maps.Clone(of.Fields)
	for setting, value := range more {
		of.Fields[setting] = value
		if value == nil {
			delete(of.Fields, setting)
		}
	}
	cfg.Stores[dialect.StoreName] = of
	if err := n.Configure(cfg); err != nil {
		t.Fatal(err)
	}
}

// files are the contents of a volume's files by path.
func files(t *testing.T, n *node, request engine.Request) map[string]string {
	t.Helper()
	volume, err := n.Mount(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	contents := map[string]string{}
	for _, file := range volume.Files {
		contents[file.Path] = string(file.Contents)
	}
	return contents
}

// What the add-on of AKS writes: all types and formats, with one call for each secret.
func TestCertificateAndKeyInFilesOfTheirOwn(t *testing.T) {
	n := newNode(t)
	n.options.SeparateCertAndKey = true
	chain := azuretest.NewChain(t, 1, "pair.example.com")
	vault := n.azure.Vault("web-kv")
	vault.PutCertificate("pair", azuretest.Certificate{ContentType: "application/x-pkcs12", Value: chain.PFX(t, ""), CER: chain.Leaf.Raw, Key: chain.Key})
	got := files(t, n, n.request(
		`{objectName: pair, objectType: secret, objectAlias: tls/pair, filePermission: 0400}`,
		`{objectName: pair, objectType: secret, objectFormat: pfx, objectAlias: pfx, objectEncoding: base64}`,
		`{objectName: pair, objectType: secret, objectAlias: old, objectVersionHistory: 2}`,
		`{objectName: pair, objectType: cert, objectAlias: leaf}`,
		`{objectName: pair, objectType: key, objectAlias: public}`,
		`{objectName: secret1, objectType: secret}`,
	))
	want := []string{"leaf", "old/0", "old/0.crt", "old/0.key", "pfx", "pfx.crt", "pfx.key", "public", "secret1", "tls/pair", "tls/pair.crt", "tls/pair.key"}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
		t.Errorf("files %q, want %q", names, want)
	}
	if _, err := tls.X509KeyPair([]byte(got["tls/pair.crt"]), []byte(got["tls/pair.key"])); err != nil || got["tls/pair"] != got["tls/pair.key"]+got["tls/pair.crt"] || got["old/0"] != got["tls/pair"] {
		t.Errorf("the files do not belong together: %v", err)
	}
	if got["pfx.crt"] != "" || got["pfx.key"] != "" || len(got["pfx"]) == 0 {
		t.Error("a PFX has parts")
	}
	// Of the secret in PEM with its parts, in PFX with its parts, of its one version, and secret1.
	if calls := n.azure.Calls("get secrets"); calls != 4 {
		t.Errorf("%d calls, want 4", calls)
	}
	n.options.SeparateCertAndKey = false
	n.store(t, nil)
	if got := files(t, n, n.request(`{objectName: pair, objectType: secret}`)); len(got) != 1 {
		t.Errorf("without the option there are %d files", len(got))
	}
}

func TestClassesOfACloudOfOnesOwn(t *testing.T) {
	n := newNode(t)
	own := n.azure.VaultAt("web-kv.vault.example.com")
	own.Put("secret1", "of the cloud of one's own")
	own.Grant("client-of-web", "*")
	file := filepath.Join(t.TempDir(), "cloud.json")
	content := `{"activeDirectoryEndpoint": "` + n.azure.Authority + `/", "keyVaultEndpoint": "https://vault.example.com/", "keyVaultDNSSuffix": "vault.example.com"}`
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	n.store(t, map[string]any{"environmentFile": file, "authorityHost": nil})
	mount := func(parameters ...string) (string, error) {
		request := n.request(`{objectName: secret1, objectType: secret}`)
		for i := 0; i < len(parameters); i += 2 {
			request.Parameters[parameters[i]] = parameters[i+1]
		}
		volume, err := n.Mount(t.Context(), request)
		if err != nil {
			return "", err
		}
		return string(volume.Files[0].Contents), nil
	}
	for _, parameters := range [][]string{
		nil, {"cloudName", "AzureStackCloud"}, {"cloudName", "AZURESTACKCLOUD", "cloudEnvFileName", "/etc/kubernetes/custom_environment.json"},
		{"cloudEnvFileName", "/etc/kubernetes/custom_environment.json"},
	} {
		if got, err := mount(parameters...); err != nil || got != "of the cloud of one's own" {
			t.Errorf("%q: %q, %v", parameters, got, err)
		}
	}
	// Another cloud is that cloud, not the file's.
	n.store(t, map[string]any{"authorityHost": n.azure.Authority})
	if got, err := mount("cloudName", "AzurePublicCloud"); err != nil || got != "value of secret1" {
		t.Errorf("the public cloud: %q, %v", got, err)
	}
	n.store(t, map[string]any{"environmentFile": nil})
	if _, err := mount("cloudName", "AzureStackCloud", "cloudEnvFileName", file); err == nil || !strings.Contains(err.Error(), "cloudName: AzureStackCloud is described by a file of the node: the operator's configuration must say which for this store, in environmentFile") {
		t.Errorf("without the operator's file: %v", err)
	}
}

// As --cloud-name there: the operator's cloud is that of classes which name none.
func TestTheOperatorsCloudIsADefault(t *testing.T) {
	n := newNode(t)
	china := n.azure.VaultAt("web-kv.vault.azure.cn")
	china.Put("secret1", "of China")
	china.Grant("client-of-web", "*")
	cfg := n.Config()
	of := cfg.Stores[dialect.StoreName]
	of.Fields, of.Override = maps.Clone(of.Fields), map[string][]string{"cloud": {"*"}}
	of.Fields["cloud"] = "AzureChinaCloud"
	cfg.Stores = map[string]config.Store{dialect.StoreName: of}
	if err := n.Configure(cfg); err != nil {
		t.Fatal(err)
	}
	for cloud, want := range map[string]string{"": "of China", "AzureChinaCloud": "of China", "AzurePublicCloud": "value of secret1"} {
		request := n.request(`{objectName: secret1, objectType: secret}`)
		request.Parameters["cloudName"] = cloud
		if got := files(t, n, request); got["secret1"] != want {
			t.Errorf("%q: %q", cloud, got["secret1"])
		}
	}
}

func TestIdentityBinding(t *testing.T) {
	n := newNode(t)
	const binding = "api://AKSIdentityBinding"
	request := n.request(`{objectName: secret1, objectType: secret}`)
	request.Parameters["useAzureTokenProxy"], request.Parameters["clientID"] = "true", "client-of-binding"
	if _, err := n.Mount(t.Context(), request); err == nil || !strings.Contains(err.Error(), "useAzureTokenProxy: logs in through the cluster's token proxy, and the operator's configuration names none for this store (tokenProxy)") {
		t.Errorf("without a proxy: %v", err)
	}
	proxy := n.azure.NewTokenProxy(t)
	n.store(t, map[string]any{"tokenProxy": map[string]any{"url": proxy.URL, "serverName": proxy.ServerName, "caCertFile": proxy.CACertFile}})
	n.azure.Vault("web-kv").Grant("client-of-binding", "*")
	n.azure.Federate("client-of-binding", azuretest.Federation{Issuer: azuretest.IssuerName, Subject: identitytest.Subject("shop/web"), Audience: binding})
	if _, err := n.Mount(t.Context(), request); err == nil || !strings.Contains(err.Error(), binding) {
		t.Errorf("without the token: %v", err)
	}
	expires := time.Now().Add(time.Hour)
	request.Identity.Tokens = map[string]identity.Token{binding: {JWT: secret.NewString(n.azure.NewIssuer(t).Token(t, "shop/web", binding, expires)), Expires: expires}}
	if got := files(t, n, request); got["secret1"] != "value of secret1" || proxy.Calls.Load() != 2 {
		t.Errorf("files %q after %d calls through the proxy", got, proxy.Calls.Load())
	}
	// Where the operator names a proxy, other classes log in as before.
	if got := files(t, n, n.request(`{objectName: db-password, objectType: secret}`)); len(got) != 1 || proxy.Calls.Load() != 2 {
		t.Errorf("a class of workload identity: %d files after %d calls through the proxy", len(got), proxy.Calls.Load())
	}
	other := n.request(`{objectName: secret1, objectType: secret}`)
	other.Dialect, other.Parameters = "lanyard", map[string]string{
		"stores":  `azure: {vault: web-kv, tenantID: t, auth: {clientID: c}, tokenProxy: {url: "https://evil.example.com", serverName: evil.example.com}}`,
		"objects": "- {path: a, store: azure, key: secrets/secret1}",
	}
	if _, err := n.Mount(t.Context(), other); err == nil || !strings.Contains(err.Error(), "tokenProxy.url: pinned by the operator's configuration") {
		t.Errorf("a class that chooses the proxy: %v", err)
	}
}

func TestTheServiceAccountSaysAsWhomItsPodsRead(t *testing.T) {
	n := newNode(t)
	request := n.request(`{objectName: secret1, objectType: secret}`)
	delete(request.Parameters, "clientID")
	delete(request.Parameters, "tenantID")
	_, err := n.Mount(t.Context(), request)
	if want := `name a Secret that has this key in the volume's nodePublishSecretRef, or give clientID to use the pod's own identity; the annotation azure.workload.identity/client-id of service account web in namespace shop is not read, because the operator's configuration does not set policy.readObjects`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("where annotations are not read: %v", err)
	}
	before := n.azure.Calls("challenge")
	n.annotations = map[string]string{"azure.workload.identity/client-id": "client-of-web", "azure.workload.identity/tenant-id": azuretest.Tenant}
	if got := files(t, n, request); got["secret1"] != "value of secret1" {
		t.Errorf("files %q", got)
	}
	if n.azure.Calls("challenge") != before {
		t.Error("the vault was asked for the tenant, which the annotation names")
	}
}

func TestAdditionsToTheDialect(t *testing.T) {
	n := newNode(t)
	vault := n.azure.Vault("web-kv")
	vault.Put("json", `{"db": {"user": "web", "port": 5432}}`)
	vault.PutSecret("feature-a", azuretest.Secret{Value: "on", Tags: map[string]string{"app": "web"}})
	vault.PutSecret("feature-b", azuretest.Secret{Value: "off"})
	got := files(t, n, n.request(
		`{objectName: json, objectType: secret, property: db.user, objectAlias: user}`,
		`{objectName: gone, objectType: secret, optional: true}`,
		`{objectName: gone, objectType: cert, optional: true, objectAlias: cert}`,
		`{objectName: feature-*, objectType: secret, objectAlias: features, filePermission: 0400}`,
		`{objectName: "*", objectType: secret, objectAlias: tagged, objectTags: {app: web}}`,
	))
	if want := map[string]string{"user": "web", "features/feature-a": "on", "features/feature-b": "off", "tagged/feature-a": "on"}; !maps.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
}

func TestObjectsOfSeveralVaults(t *testing.T) {
	n := newNode(t)
	other := n.azure.Vault("other-kv")
	other.Put("secret1", "of the other vault")
	other.Grant("client-of-web", "*")
	other.Grant("client-of-nodes", "*")
	objects := []string{
		`{objectName: secret1, objectType: secret}`,
		`{objectName: secret1, objectType: secret, objectAlias: other, keyvaultName: other-kv}`,
		`{objectName: secret1, objectType: secret, objectAlias: again, keyvaultName: OTHER-kv}`,
	}
	want := map[string]string{"secret1": "value of secret1", "other": "of the other vault", "again": "of the other vault"}
	if got := files(t, n, n.request(objects...)); !maps.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	// One login for both vaults, one call for each secret.
	if n.azure.Calls("token") != 1 || n.azure.Calls("get secrets") != 2 {
		t.Errorf("%d logins and %d reads", n.azure.Calls("token"), n.azure.Calls("get secrets"))
	}
	node := n.request(objects...)
	delete(node.Parameters, "clientID")
	node.Parameters["useVMManagedIdentity"] = "true"
	if got := files(t, n, node); !maps.Equal(got, want) {
		t.Errorf("as the node: files %q, want %q", got, want)
	}
	node.Identity.ServiceAccount = "other"
	if _, err := n.Mount(t.Context(), node); !errors.Is(err, fault.ErrDenied) {
		t.Errorf("a pod that may not read as the node: %v", err)
	}
	other.Revoke("client-of-web")
	_, err := n.Mount(t.Context(), n.request(append(objects, `{objectName: gone, objectType: secret, keyvaultName: other-kv}`)...))
	if err == nil || !strings.Contains(err.Error(), "object 4 (gone)") || !strings.Contains(err.Error(), "other-kv") || strings.Contains(err.Error(), "object 1") {
		t.Errorf("an error of the other vault: %v", err)
	}
	// The vault is the operator's to say for the entries too.
	n.store(t, map[string]any{"vault": "web-kv"})
	_, err = n.Mount(t.Context(), n.request(objects...))
	if err == nil || !strings.Contains(err.Error(), "objects[1].keyvaultName: pinned by the operator's configuration of store azure; remove it here") || nativeWords.MatchString(err.Error()) {
		t.Errorf("a vault that the operator pins: %v", err)
	}
}

// nativeWords are names that the author of a class of this dialect has never written.
var nativeWords = regexp.MustCompile("`|\\b(?:options|stores|auth|tls)\\.[a-z]|\\b(?:key|property|path|version): |\\bsecrets/ and\\b")

// The pod's author reads the remedies of failed reads too.
func TestFailedReadsSpeakTheDialect(t *testing.T) {
	chain := azuretest.NewChain(t, 1, "web.example.com")
	for name, test := range map[string]struct {
		object string
		change func(*node, engine.Request)
		want   string
	}{
		"a key that is not exported": {`{objectName: locked, objectType: secret}`, func(n *node, _ engine.Request) {
			n.azure.Vault("web-kv").PutCertificate("locked", azuretest.Certificate{ContentType: "application/x-pem-file", Value: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain.Leaf.Raw}))})
		}, ""},
		"what is no PFX": {`{objectName: locked, objectType: secret}`, func(n *node, _ engine.Request) {
			n.azure.Vault("web-kv").PutCertificate("locked", azuretest.Certificate{ContentType: "application/x-pkcs12", Value: "AAAA"})
		}, "cannot be read as one"},
		"an unknown client": {`{objectName: secret1, objectType: secret}`, func(_ *node, r engine.Request) { r.Parameters["clientID"] = "nobody" }, "check clientID and tenantID"},
		"an unknown tenant": {`{objectName: secret1, objectType: secret}`, func(_ *node, r engine.Request) { r.Parameters["tenantID"] = "nobody" }, "check tenantID and cloudName"},
		"an older tenant":   {`{objectName: secret1, objectType: secret}`, func(_ *node, r engine.Request) { delete(r.Parameters, "tenantID"); r.Parameters["tenantId"] = "nobody" }, "check tenantId and cloudName"},
		"no right":          {`{objectName: secret1, objectType: secret}`, func(n *node, _ engine.Request) { n.azure.Vault("web-kv").Revoke("client-of-web") }, "permission denied"},
		"no right to list":  {`{objectName: "s*", objectType: secret, objectAlias: all}`, func(n *node, _ engine.Request) { n.azure.Vault("web-kv").Revoke("client-of-web") }, "on the vault, which a list needs"},
		"no token":          {`{objectName: secret1, objectType: secret}`, func(n *node, _ engine.Request) { n.azure.SetTokenAudience("https://other") }, "check tenantID and cloudName"},
		"no base64":         {`{objectName: secret1, objectType: secret, objectEncoding: base64}`, nil, "the value is not base64"},
		"no hex":            {`{objectName: secret1, objectType: secret, objectEncoding: hex}`, nil, "the value is not hex"},
		"no JSON":           {`{objectName: secret1, objectType: secret, property: a}`, nil, ""},
		"no such property":  {`{objectName: config, objectType: secret, property: nothing.here}`, nil, ""},
		"a throttled vault": {`{objectName: secret1, objectType: secret}`, func(n *node, _ engine.Request) { n.azure.Add(azuretest.Throttled(600)) }, "429"},
		"too many": {`{objectName: "m*", objectType: secret, objectAlias: all}`, func(n *node, _ engine.Request) {
			for i := range 201 {
				n.azure.Vault("web-kv").Put(fmt.Sprint("m", i), "v")
			}
		}, "give a narrower pattern"},
		"nothing matches":           {`{objectName: "none*", objectType: secret, objectAlias: all}`, nil, "no enabled secret that matches"},
		"no version that is so old": {`{objectName: secret1, objectType: secret, objectVersionNotAfter: 2025-12-31T23:59:59Z}`, nil, "secrets/secret1: Key Vault has no enabled version of it that was made until 2025-12-31T23:59:59Z; the oldest was made at 2026-01-01T"},
		"no time":                   {`{objectName: secret1, objectType: secret, objectVersionNotAfter: yesterday}`, nil, "objectVersionNotAfter: must be a time such as 2026-11-27T06:00:00Z, with its zone (RFC 3339)"},
		"too many versions": {`{objectName: secret1, objectType: secret, objectVersionNotAfter: 2026-11-27T06:00:00Z}`, func(n *node, _ engine.Request) {
			n.azure.SetPageSize(1)
			for i := range 100 {
				n.azure.Vault("web-kv").Put("secret1", fmt.Sprint(i))
			}
		}, "purge the old ones, or leave objectVersionNotAfter out"},
		"a version that is missing": {`{objectName: secret1, objectType: secret, objectVersion: "12", objectVersionHistory: 3}`, nil, "no enabled version"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.store(t, map[string]any{"retries": 0})
			request := n.request(strings.ReplaceAll(test.object, `'`, `"`))
			if test.change != nil {
				test.change(n, request)
			}
			_, err := n.Mount(t.Context(), request)
			if err == nil {
				if test.want != "" {
					t.Fatal("mounted")
				}
				return
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q is not in\n%v", test.want, err)
			}
			if found := nativeWords.FindString(err.Error()); found != "" {
				t.Errorf("%q is no word of the dialect: %v", found, err)
			}
		})
	}
}
