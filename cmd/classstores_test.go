package cmd

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

func engineUnder(t *testing.T, config string) *localEngine {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lanyard.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := loadEngine(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// native are the parameters of a class with one store x of its own and one secret.
func native(store string) map[string]string {
	return map[string]string{"stores": "x: " + store, "objects": "[{path: a, store: x, key: a}]"}
}

func TestWhereAClassMayHaveAStore(t *testing.T) {
	const (
		vault  = "{type: vault, address: 'https://%s', auth: {method: kubernetes, role: web}}"
		azure  = "{type: azure-key-vault, vault: web-kv, tenantID: t, auth: {clientID: c}}"
		amazon = "{type: aws-secrets-manager, region: eu-west-1, auth: {role: 'arn:aws:iam::111122223333:role/web'}}"
		google = "{type: google-secret-manager, project: shop}"
	)
	at := func(address string) string { return fmt.Sprintf(vault, address) }
	for _, c := range []struct{ policy, store, want string }{
		{"true", at("vault.example.com:8200"), ""},
		{"true", at("10.1.2.3"), ""},
		{"true", at("127.0.0.1:8200"), "stores.x.address: 127.0.0.1:8200 is a loopback address, which a class must not choose; if it is right, let the operator list the IP address in policy.classStores"},
		{"true", at("[::ffff:127.0.0.1]:8200"), "stores.x.address: [::ffff:127.0.0.1]:8200 is a loopback address"},
		{"true", at("localhost:8200"), "stores.x.address: localhost:8200 is this machine itself"},
		{"true", at("169.254.169.254"), "stores.x.address: 169.254.169.254:443 is a cloud's metadata service"},
		{"true", at("metadata.google.internal"), "stores.x.address: metadata.google.internal:443 is a cloud's metadata service"},
		{"['*', 127.0.0.0/8]", at("127.0.0.1:8200"), ""},
		{"['*', '127.0.0.1:8200']", at("127.0.0.1:8201"), "is a loopback address"},
		{"false", at("vault.example.com"), "stores.x: the operator does not let classes define stores"},
		{"[]", at("vault.example.com"), "stores.x: the operator does not let classes define stores"},
		{"['*.example.com:8200', 10.0.0.0/8]", at("vault.example.com:8200"), ""},
		{"['*.example.com:8200', 10.0.0.0/8]", at("vault.vault.svc"), ""}, // its IP address decides
		{"['*.example.com:8200']", at("vault.example.com"), "stores.x.address: vault.example.com:443: the operator lets classes choose *.example.com:8200 here (policy.classStores)"},
		{"['*.example.com:8200', 10.0.0.0/8]", at("11.1.2.3"), "stores.x.address: 11.1.2.3:443: the operator lets classes choose *.example.com:8200, 10.0.0.0/8 here"},
		{"['*.vault.azure.net', login.microsoftonline.com]", azure, ""},
		{"['*.vault.azure.net']", azure, "stores.x.authorityHost: login.microsoftonline.com:443: the operator lets classes choose *.vault.azure.net here"},
		{"[login.microsoftonline.com]", azure, "stores.x.vault: web-kv.vault.azure.net:443: the operator lets"},
		{"['*.amazonaws.com']", amazon, ""},
		{"[sts.eu-west-1.amazonaws.com, secretsmanager.eu-west-1.amazonaws.com]", amazon, ""},
		{"[sts.eu-west-1.amazonaws.com]", amazon, "stores.x.region: secretsmanager.eu-west-1.amazonaws.com:443: the operator lets"},
		{"[secretsmanager.eu-west-1.amazonaws.com]", amazon, "stores.x.region: sts.eu-west-1.amazonaws.com:443: the operator lets"},
		{"['*.googleapis.com']", google, ""},
		{"[secretmanager.googleapis.com]", google, "stores.x.auth.stsEndpoint: sts.googleapis.com:443: the operator lets"},
		{"[sts.googleapis.com]", google, "stores.x.endpoint: secretmanager.googleapis.com:443: the operator lets"},
	} {
		parameters := native(c.store)
		if strings.Contains(c.store, "google") {
			parameters["objects"] = "[{path: a, store: x, key: projects/shop/secrets/a}]"
		} else if strings.Contains(c.store, "azure") {
			parameters["objects"] = "[{path: a, store: x, key: secrets/a}]"
		}
		err := engineUnder(t, "policy: {classStores: "+c.policy+"}").Check("lanyard", parameters)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %s: %v, want %q", c.policy, c.store, err, c.want)
		}
	}
}

// The dialect's own words name the field.
func TestWhereAClassMayHaveAStoreIsToldInItsDialect(t *testing.T) {
	e := engineUnder(t, "policy: {classStores: ['*.example.com']}")
	for dialect, c := range map[string]struct {
		parameters map[string]string
		want       string
	}{
		"vault": {map[string]string{"vaultAddress": "https://vault.example.org", "roleName": "web", "objects": "- {objectName: a, secretPath: kv/a, secretKey: a}"}, "vaultAddress: vault.example.org:443: the operator lets classes choose *.example.com here"},
		"azure": {map[string]string{"keyvaultName": "web-kv", "tenantId": "t", "clientID": "c", "objects": "array:\n  - |\n    objectName: a\n    objectType: secret\n"}, "keyvaultName: web-kv.vault.azure.net:443: the operator lets"},
		"aws":   {map[string]string{"region": "eu-west-1", "objects": "- {objectName: a, objectType: secretsmanager}"}, "region: secretsmanager.eu-west-1.amazonaws.com:443: the operator lets"},
	} {
		if err := e.Check(dialect, c.parameters); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", dialect, err, c.want)
		}
	}
}

// What the operator lets classes override is no way around the rule, and neither is
// policy.classStores: false one around override.
func TestAnOverriddenAddressComesUnderTheRule(t *testing.T) {
	const store = "stores: {x: {type: vault, address: 'http://127.0.0.1:8200', auth: {method: kubernetes}, override: {address: ['http://*']}}}\n"
	const role = "auth: {role: web}"
	for _, c := range []struct{ policy, class, want string }{
		{"false", "{" + role + "}", ""},
		{"false", "{address: 'http://127.0.0.1:8200', " + role + "}", ""}, // the operator's own
		{"false", "{address: 'http://vault.example.com', " + role + "}", ""},
		{"[vault.example.org]", "{address: 'http://vault.example.com', " + role + "}", ""},
		{"true", "{address: 'http://127.0.0.1:8201', " + role + "}", "stores.x.address: 127.0.0.1:8201 is a loopback address"},
		{"['127.0.0.1:8201']", "{address: 'http://127.0.0.1:8201', " + role + "}", ""},
	} {
		err := engineUnder(t, store+"policy: {classStores: "+c.policy+"}").Check("lanyard", native(c.class))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %s: %v, want %q", c.policy, c.class, err, c.want)
		}
	}
}

// A policy that changes closes the door at once, for what is in memory too.
func TestAPolicyHoldsForValuesInMemory(t *testing.T) {
	e := engineUnder(t, "policy: {classStores: ['*', 127.0.0.0/8]}")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/login") {
			_, _ = w.Write([]byte(`{"request_id":"1","auth":{"client_token":"t","lease_duration":60}}`))
			return
		}
		_, _ = w.Write([]byte(`{"request_id":"1","data":{"a":"b"}}`))
	}))
	defer server.Close()
	request := engine.Request{Dialect: "lanyard", Parameters: native("{type: vault, address: '" + server.URL + "', auth: {method: jwt, role: web}}"), Identity: identity.Identity{
		Namespace: "prod", ServiceAccount: "web", Pod: "web-0", PodUID: "u", Tokens: map[string]identity.Token{"vault": {JWT: secret.NewString("jwt"), Expires: time.Now().Add(time.Hour)}},
	}}
	if _, err := e.Mount(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	for _, policy := range [][]string{{"*"}, {"vault.example.com"}, nil} {
		changed := e.Config()
		changed.Policy.ClassStores = policy
		if err := e.Configure(changed); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Mount(t.Context(), request); !errors.Is(err, fault.ErrInvalid) {
			t.Errorf("under %q: %v, want a refusal", policy, err)
		}
	}
}

// A class of an attacker: an STS of its own gives credentials, and the endpoint is what
// the node trusts.
func TestAClassMakesNoCallsIntoTheNode(t *testing.T) {
	sts := awstest.New(t)
	issuer := sts.NewIssuer(t)
	role := sts.PutRole("web", awstest.Role{Accounts: []string{"prod/web"}, Reads: []string{"*"}})
	var reached atomic.Bool
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached.Store(true)
		http.Error(w, "the node's own secret", http.StatusBadRequest)
	}))
	defer inside.Close()
	e := engineUnder(t, "policy: {classStores: ['*', '"+strings.TrimPrefix(sts.URL, "http://")+"']}")
	expires := time.Now().Add(time.Hour)
	pod := identity.Identity{Namespace: "prod", ServiceAccount: "web", Pod: "web-0", PodUID: "u", Tokens: map[string]identity.Token{
		"sts.amazonaws.com": {JWT: secret.NewString(issuer.Token(t, "prod/web", "sts.amazonaws.com", expires)), Expires: expires},
	}}
	store := func(endpoint string) string {
		return fmt.Sprintf("{type: aws-secrets-manager, region: eu-west-1, endpoint: '%s', auth: {role: '%s', stsEndpoint: '%s'}}", endpoint, role, sts.URL)
	}
	sts.PutSecret("eu-west-1", "a", "v")
	if _, err := e.Mount(t.Context(), engine.Request{Dialect: "lanyard", Parameters: native(store(sts.URL)), Identity: pod}); err != nil {
		t.Fatalf("with the listed server alone: %v", err)
	}
	_, err := e.Mount(t.Context(), engine.Request{Dialect: "lanyard", Parameters: native(store(inside.URL)), Identity: pod})
	if !errors.Is(err, fault.ErrInvalid) && !errors.Is(err, fault.ErrDenied) || !strings.Contains(fmt.Sprint(err), "is a loopback address") || strings.Contains(fmt.Sprint(err), "secret") {
		t.Errorf("Mount: %v", err)
	}
	if reached.Load() {
		t.Error("the server inside of the node was called")
	}
}
