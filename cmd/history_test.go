package cmd

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"

	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/backend/gcp/gcptest"
	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
	"github.com/lanyardhq/lanyard/server/sync"
)

// historyFixture is a class over the double of a store: what the operator says of the
// store, the class, and the pod's token with its audience.
type historyFixture struct {
	config, class   string
	audience, token string
}

// classText is a class with one more parameter for each pair.
func classText(provider string, parameters ...string) string {
	text := "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: web, namespace: prod}\nspec:\n  provider: " + provider + "\n  parameters:\n"
	for i := 0; i < len(parameters); i += 2 {
		if !strings.Contains(parameters[i+1], "\n") {
			text += "    " + parameters[i] + ": " + parameters[i+1] + "\n"
			continue
		}
		text += "    " + parameters[i] + ": |\n"
		for line := range strings.Lines(parameters[i+1]) {
			text += "      " + line
		}
	}
	return text
}

func amazonHistory(t *testing.T) (*awstest.Server, *identitytest.Issuer, historyFixture) {
	t.Helper()
	server := awstest.New(t)
	issuer := server.NewIssuer(t)
	role := server.PutRole("web", awstest.Role{Accounts: []string{"prod/web"}, Reads: []string{"prod/*", "/prod/*"}})
	first, _ := server.PutSecret("eu-west-1", "prod/db", "planted-one")
	for _, value := range []string{"two", "three", "four"} {
		server.PutSecret("eu-west-1", "prod/db", "planted-"+value)
	}
	server.Stage("eu-west-1", "prod/db", first, "GOLDEN")
	for _, value := range []string{"one", "two", "three"} {
		server.PutParameter("eu-west-1", "/prod/flag", "String", "planted-"+value)
	}
	server.Label("eu-west-1", "/prod/flag", "stable", 2)
	where := fmt.Sprintf("endpoint: '%s', retries: 0, auth: {role: '%s', stsEndpoint: '%s'}", server.URL, role, server.URL)
	return server, issuer, historyFixture{
		config: "stores:\n  secretsmanager: {type: aws-secrets-manager, " + where + "}\n  ssmparameter: {type: aws-parameter-store, " + where + "}\n",
		class: classText("aws", "region", "eu-west-1", "objects", `- objectName: prod/db
  objectType: secretsmanager
  objectAlias: db
- objectName: prod/db
  objectType: secretsmanager
  objectAlias: golden
  objectVersionLabel: GOLDEN
- objectName: /prod/flag
  objectType: ssmparameter
  objectAlias: flag
  objectVersionLabel: stable
- objectName: /prod/*
  objectType: ssmparameter
  objectAlias: all
- objectName: prod/missing
  objectType: secretsmanager
- objectName: other/secret
  objectType: secretsmanager
`),
		audience: "sts.amazonaws.com", token: issuer.Token(t, "prod/web", "sts.amazonaws.com", time.Now().Add(time.Hour)),
	}
}

func azureHistory(t *testing.T) historyFixture {
	t.Helper()
	const audience = "api://AzureADTokenExchange"
	server := azuretest.New(t)
	issuer := server.NewIssuer(t)
	server.Federate("client-of-web", azuretest.Federation{Issuer: azuretest.IssuerName, Subject: identitytest.Subject("prod/web"), Audience: audience})
	vault := server.Vault("web-kv")
	vault.Grant("client-of-web", "secrets/db", "keys/sign", "certificates/tls")
	for _, id := range []string{"a1", "a2", "a3"} {
		vault.PutSecret("db", azuretest.Secret{Value: "planted-" + id, Version: id})
		vault.PutCertificate("tls", azuretest.Certificate{Version: id})
	}
	vault.Disable("secrets/db", "a2")
	vault.Disable("certificates/tls", "a3")
	authority := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(authority, []byte(server.CACert), 0o600); err != nil {
		t.Fatal(err)
	}
	return historyFixture{
		config: fmt.Sprintf("stores:\n  azure: {type: azure-key-vault, vault: web-kv, tenantID: %s, endpoint: '%s', authorityHost: '%s', retries: 0, tls: {caCertFile: %s}, auth: {clientID: client-of-web}, ignore: [vault, tenantID, auth.clientID]}\n",
			azuretest.Tenant, server.Endpoint, server.Authority, authority),
		class: classText("lanyard", "objects", `- {path: db, store: azure, key: secrets/db}
- {path: tls, store: azure, key: certificates/tls, version: a2}
- {path: several, store: azure, key: "secrets/d*", expand: true}
- {path: other, store: azure, key: secrets/other}
- {path: sign, store: azure, key: keys/sign}
`),
		audience: audience, token: issuer.Token(t, "prod/web", audience, time.Now().Add(time.Hour)),
	}
}

func googleHistory(t *testing.T) historyFixture {
	t.Helper()
	const pool = "shop.svc.id.goog"
	server := gcptest.New(t)
	issuer := server.NewIssuer(t)
	audience := gcptest.GKE("shop", "europe-west3", "one")
	server.PutProvider(audience, gcptest.Provider{Pool: pool, Issuer: gcptest.IssuerName, TokenAudience: pool})
	server.Grant("projects/shop", gcptest.Workload(pool, "prod", "web"))
	for i := range 5 {
		server.Put("projects/shop/secrets/db", fmt.Appendf(nil, "planted-%d", i+1))
	}
	server.SetState("projects/shop/secrets/db", 1, secretmanagerpb.SecretVersion_DESTROYED)
	server.SetState("projects/shop/secrets/db", 3, secretmanagerpb.SecretVersion_DISABLED)
	server.SetAlias("projects/shop/secrets/db", "good", 4)
	for _, version := range []string{"v1", "v2", "v3"} {
		server.PutParameter("projects/shop/locations/global/parameters/app/versions/"+version, []byte("planted-"+version))
	}
	server.DisableParameter("projects/shop/locations/global/parameters/app/versions/v2")
	return historyFixture{
		config: fmt.Sprintf("stores:\n  gcp: {type: google-secret-manager, endpoint: '%s', regionalEndpoint: '%s', retries: 0, parameters: {endpoint: '%s', regionalEndpoint: '%s'}, auth: {audience: '%s', stsEndpoint: '%s', iamEndpoint: '%s'}}\n",
			server.Endpoint, server.RegionalEndpoint, server.Endpoint, server.RegionalEndpoint, audience, server.Identity, server.Identity),
		class: classText("gcp", "secrets", `- {path: db, resourceName: projects/shop/secrets/db/versions/latest}
- {path: good, resourceName: projects/shop/secrets/db/versions/good}
- {path: app, resourceName: projects/shop/locations/global/parameters/app/versions/v1}
- {path: missing, resourceName: projects/shop/secrets/missing/versions/latest}
- {path: other, resourceName: projects/other/secrets/db/versions/latest}
`),
		audience: pool, token: issuer.Token(t, "prod/web", pool, time.Now().Add(time.Hour)),
	}
}

func localHistory(t *testing.T) historyFixture {
	t.Helper()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "licence"), []byte("planted"), 0o600); err != nil {
		t.Fatal(err)
	}
	return historyFixture{
		config: "stores:\n  agent: {type: file, root: " + root + ", allow: ['prod/*']}\n  vault: {type: vault, address: 'http://127.0.0.1:1', auth: {method: jwt, role: web}}\n",
		class: classText("lanyard", "objects", `- {path: licence, store: agent, key: licence}
- path: note
  template: "{{ .licence }}"
- {path: kv1, store: vault, key: kv/db}
- {path: login, store: vault, key: database/creds/web, options: {method: PUT}}
`),
		audience: "vault", token: "token",
	}
}

// files writes the fixture's files and returns the arguments that name them.
func (h historyFixture) files(t *testing.T) (class string, args []string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"class.yaml": h.class, "lanyard.yaml": h.config, "token": h.token} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "class.yaml"), []string{"--config", filepath.Join(dir, "lanyard.yaml"), "--service-account", "web", "--token", h.audience + "=" + filepath.Join(dir, "token")}
}

// wantGolden compares with a golden file, which LANYARD_UPDATE_GOLDEN=1 writes anew.
func wantGolden(t *testing.T, path, got string) {
	t.Helper()
	if os.Getenv("LANYARD_UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil || got != string(want) {
		t.Errorf("%v; printed\n%s\nwant\n%s", err, got, want)
	}
}

func TestHistoryListsWhatEachStoreKnows(t *testing.T) {
	for name, fixture := range map[string]func(*testing.T) historyFixture{
		"aws":   func(t *testing.T) historyFixture { t.Helper(); _, _, f := amazonHistory(t); return f },
		"azure": azureHistory, "gcp": googleHistory, "local": localHistory,
	} {
		for _, format := range []string{"text", "json"} {
			t.Run(name+" "+format, func(t *testing.T) {
				class, args := fixture(t).files(t)
				code, stdout, stderr := runLanyard(append([]string{"history", class, "-o", format}, args...)...)
				if strings.Contains(stdout+stderr, "planted") {
					t.Errorf("a value is shown:\n%s%s", stdout, stderr)
				}
				wantGolden(t, filepath.Join("testdata", "history", name+"."+format), fmt.Sprintf("%s! %sexit %d\n", stdout, stderr, code))
			})
		}
	}
}

func TestHistoryTakesObjectsByName(t *testing.T) {
	_, _, f := amazonHistory(t)
	class, args := f.files(t)
	code, stdout, stderr := runLanyard(append([]string{"history", class, "flag"}, args...)...)
	if code != exitOK || !strings.Contains(stdout, "stable") || strings.Contains(stdout, "AWSCURRENT") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	code, _, stderr = runLanyard(append([]string{"history", class, "flog"}, args...)...)
	if code != exitUsage || !strings.Contains(stderr, "no object is called flog; the class has db, golden, flag") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// TestAPinnedClassReadsItsVersion takes a rotation back at every store: by the version
// that history lists the class is pinned, mounted, and unpinned.
func TestAPinnedClassReadsItsVersion(t *testing.T) {
	amazon := func(t *testing.T) historyFixture { t.Helper(); _, _, f := amazonHistory(t); return f }
	for name, test := range map[string]struct {
		fixture         func(*testing.T) historyFixture
		class           string
		made            string // when the version was made that is pinned
		current, pinned string
	}{
		"Secrets Manager":   {amazon, classText("aws", "region", "eu-west-1", "objects", "- objectName: prod/db   # kept\n  objectType: secretsmanager\n  objectAlias: db\n"), "22:13:22", "planted-four", "planted-three"},
		"Parameter Store":   {amazon, classText("aws", "region", "eu-west-1", "objects", "- {objectName: /prod/flag, objectType: ssmparameter, objectAlias: db}\n"), "22:13:21", "planted-three", "planted-one"},
		"the same, native":  {amazon, classText("lanyard", "stores", "ssmparameter: {region: eu-west-1}\n", "objects", "- path: db\n  store: ssmparameter\n  key: /prod/flag   # kept\n"), "22:13:22", "planted-three", "planted-two"},
		"Key Vault":         {azureHistory, classText("azure", "keyvaultName", "web-kv", "tenantID", "t", "objects", "array:\n  - |\n    objectName: db\n    objectType: secret   # kept\n"), "00:00:01", "planted-a3", "planted-a1"},
		"Secret Manager":    {googleHistory, classText("gcp", "secrets", "- path: db   # kept\n  resourceName: projects/shop/secrets/db/versions/latest\n"), "00:04:00", "planted-5", "planted-4"},
		"Parameter Manager": {googleHistory, classText("gcp", "secrets", "- path: db   # kept\n  resourceName: projects/shop/locations/global/parameters/app/versions/v3\n"), "00:01:00", "planted-v3", "planted-v1"},
	} {
		t.Run(name, func(t *testing.T) {
			f := test.fixture(t)
			f.class = test.class
			class, args := f.files(t)
			run := func(arguments ...string) string {
				t.Helper()
				code, stdout, stderr := runLanyard(arguments...)
				if code != exitOK || strings.Contains(stdout+stderr, "planted") {
					t.Fatalf("%v: exit code %d: %s%s", arguments, code, stdout, stderr)
				}
				return stdout
			}
			volume := t.TempDir()
			mounted := func() string {
				t.Helper()
				run(append([]string{"mount", class, "--target", volume}, args...)...)
				data, err := os.ReadFile(filepath.Join(volume, "db"))
				if err != nil {
					t.Fatal(err)
				}
				return string(data)
			}
			if got := mounted(); got != test.current {
				t.Errorf("before, the file holds %s", got)
			}
			var chosen, before string
			for line := range strings.Lines(run(append([]string{"history", class, "db"}, args...)...)) {
				if strings.Contains(line, test.made) {
					chosen = strings.Fields(line)[1]
				}
				if strings.Contains(line, "reads this") {
					before = strings.Fields(line)[1]
				}
			}
			run("pin", class, "db", "--version", chosen, "--config", args[1])
			if got := mounted(); got != test.pinned {
				t.Errorf("pinned to %s, the file holds %s", chosen, got)
			}
			for line := range strings.Lines(run(append([]string{"history", class, "db"}, args...)...)) {
				if fields := strings.Fields(line); len(fields) > 1 && strings.Contains(line, "reads this") != (fields[1] == chosen) {
					t.Errorf("pinned to %s, history lists %s", chosen, line)
				}
			}
			back := []string{"pin", class, "db", "--unpin", "--config", args[1]}
			if strings.HasPrefix(name, "Parameter M") {
				back = []string{"pin", class, "db", "--version", before, "--config", args[1]} // none is the current one
			}
			run(back...)
			if text, err := os.ReadFile(class); err != nil || string(text) != test.class {
				t.Errorf("unpinned, the class is\n%s\n%v", text, err)
			}
			if got := mounted(); got != test.current {
				t.Errorf("unpinned, the file holds %s", got)
			}
		})
	}
}

func TestHistoryRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no class":      {nil, "history takes the file of a class"},
		"no file":       {[]string{"nowhere.yaml"}, "nowhere.yaml: no such file"},
		"no kubeconfig": {[]string{"prod/web", "--kubeconfig", "nowhere"}, "no API server is known"},
		"a file's key":  {[]string{"-", "--version-key", "nowhere"}, "holds no SecretProviderClass"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := runLanyard(append([]string{"history"}, test.args...)...)
			if code != exitUsage || !strings.Contains(stderr, test.want) {
				t.Errorf("exit code %d: %s", code, stderr)
			}
		})
	}
}

// TestHistoryTellsWhoHoldsWhichVersion has pods that hold two versions of a secret, and a
// Secret that holds the older one.
func TestHistoryTellsWhoHoldsWhichVersion(t *testing.T) {
	server, issuer, f := amazonHistory(t)
	f.class = classText("aws", "region", "eu-west-1", "objects", "- objectName: prod/db\n  objectType: secretsmanager\n  objectAlias: db\n")
	class, args := f.files(t)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(strings.Repeat("k", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	keyed := filepath.Join(t.TempDir(), "keyed.yaml")
	if err := os.WriteFile(keyed, []byte(f.config+"cache: {versionKeyFile: "+key+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	digest := func() string {
		code, stdout, stderr := runLanyard(append([]string{"mount", class, "-o", "json", "--config", keyed}, args[2:]...)...)
		var mounted struct{ Objects []struct{ Version string } }
		if err := json.Unmarshal([]byte(stdout), &mounted); err != nil || code != exitOK {
			t.Fatalf("%v: %s", err, stderr)
		}
		return mounted.Objects[0].Version
	}
	before := digest()
	server.PutSecret("eu-west-1", "prod/db", "planted-five")
	after := digest()

	cluster := newHistoryAPI(t, func() string {
		return issuer.Token(t, "prod/web", "sts.amazonaws.com", time.Now().Add(time.Hour))
	})
	cluster.pods = map[string]string{"web-0": before, "web-1": after, "web-2": after, "web-3": "of a class that was"}
	cluster.secrets = map[string][3]string{
		"web-db": {"SecretProviderClass", "web", `{"db":"` + before + `"}`}, "synced": {"SecretSync", "of-web", `{"db":"` + after + `"}`},
		"of-api": {"SecretSync", "of-api", `{"db":"` + after + `"}`}, "api-db": {"SecretProviderClass", "api", `{"db":"` + before + `"}`}, "broken": {"SecretProviderClass", "web", "{"},
	}
	flags := []string{"history", "prod/web", "--config", args[1], "--service-account", "web", "--kubeconfig", cluster.kubeconfig}
	for name, more := range map[string][]string{"unknown": nil, "known": {"--version-key", key}, "json": {"--version-key", key, "-o", "json"}} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := runLanyard(append(flags, more...)...)
			if strings.Contains(stdout+stderr, "planted") || stderr != "" || code != exitOK {
				t.Errorf("exit code %d:\n%s%s", code, stdout, stderr)
			}
			wantGolden(t, filepath.Join("testdata", "history", "held-"+name+".text"), stdout)
		})
	}
	if cluster.asked["sts.amazonaws.com"] == 0 || cluster.values {
		t.Errorf("tokens were asked for audiences %v; Secrets were read with their values: %v", cluster.asked, cluster.values)
	}
	cluster.hidden = true
	code, stdout, stderr := runLanyard(flags...)
	if code != exitFailed || !strings.Contains(stdout, "web-1, web-2") || !strings.Contains(stdout, "AWSCURRENT") || !strings.Contains(stderr, "secrets in namespace prod cannot be listed (their metadata alone is asked for)") {
		t.Errorf("without the right to list Secrets: exit code %d:\n%s%s", code, stdout, stderr)
	}
	cluster.refuse = true
	code, stdout, stderr = runLanyard(flags...)
	if code != exitFailed || !strings.Contains(stdout+stderr, "grant it create on serviceaccounts/token") {
		t.Errorf("without the right: exit code %d:\n%s%s", code, stdout, stderr)
	}
}

// historyAPI is the part of an API server that lanyard history calls.
type historyAPI struct {
	kubeconfig string
	pods       map[string]string    // versions of the object db by pod
	secrets    map[string][3]string // the kind and name of the owner, and the annotation, by Secret
	refuse     bool                 // token requests
	hidden     bool                 // Secrets may not be listed
	asked      map[string]int       // token requests by audience
	values     bool                 // Secrets were read with their values
}

func newHistoryAPI(t *testing.T, token func() string) *historyAPI {
	t.Helper()
	api := &historyAPI{asked: map[string]int{}}
	answer := func(w http.ResponseWriter, status int, object map[string]any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(object); err != nil {
			t.Error(err)
		}
	}
	const group = "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/prod/"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+group+"secretproviderclasses/web", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{
			"apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass", "metadata": map[string]any{"name": "web", "namespace": "prod", "uid": "u"},
			"spec": map[string]any{"provider": "aws", "parameters": map[string]any{"region": "eu-west-1", "objects": "- objectName: prod/db\n  objectType: secretsmanager\n  objectAlias: db\n"}},
		})
	})
	mux.HandleFunc("POST /api/v1/namespaces/prod/serviceaccounts/web/token", func(w http.ResponseWriter, r *http.Request) {
		var request struct {
			Spec struct{ Audiences []string }
		}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			t.Error(err)
		}
		if api.refuse {
			answer(w, http.StatusForbidden, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403, "message": "no"})
			return
		}
		api.asked[strings.Join(request.Spec.Audiences, " ")]++
		answer(w, http.StatusCreated, map[string]any{"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "metadata": map[string]any{"name": "web"}, "status": map[string]any{"token": token()}})
	})
	mux.HandleFunc("GET "+group+"secretproviderclasspodstatuses", func(w http.ResponseWriter, _ *http.Request) {
		items := []any{}
		for pod, version := range api.pods {
			items = append(items, map[string]any{
				"apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClassPodStatus", "metadata": map[string]any{"name": pod + "-prod-web"},
				"status": map[string]any{"podName": pod, "mounted": true, "secretProviderClassName": "web", "objects": []any{map[string]any{"id": "db", "version": version}}},
			}, map[string]any{
				"apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClassPodStatus", "metadata": map[string]any{"name": pod + "-prod-api"},
				"status": map[string]any{"podName": "api-0", "mounted": true, "secretProviderClassName": "api", "objects": []any{map[string]any{"id": "db", "version": version}}},
			})
		}
		answer(w, http.StatusOK, map[string]any{"apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClassPodStatusList", "metadata": map[string]any{}, "items": items})
	})
	mux.HandleFunc("GET /api/v1/namespaces/prod/secrets", func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadataList") {
			api.values = true
		}
		if api.hidden {
			answer(w, http.StatusForbidden, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403, "message": "no"})
			return
		}
		if r.URL.Query().Get("labelSelector") != sync.OwnerLabel {
			t.Errorf("Secrets are chosen by %s", r.URL.RawQuery)
		}
		items := []any{}
		for name, one := range api.secrets {
			items = append(items, map[string]any{"metadata": map[string]any{
				"name": name, "annotations": map[string]any{sync.VersionsAnnotation: one[2]}, "ownerReferences": []any{map[string]any{"kind": one[0], "name": one[1], "uid": "u", "apiVersion": "x/v1"}},
			}})
		}
		answer(w, http.StatusOK, map[string]any{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": map[string]any{}, "items": items})
	})
	mux.HandleFunc("GET /apis/secret-sync.x-k8s.io/v1alpha1/namespaces/prod/secretsyncs", func(w http.ResponseWriter, _ *http.Request) {
		items := []any{}
		for name, class := range map[string]string{"of-web": "web", "of-api": "api"} {
			items = append(items, map[string]any{"apiVersion": "secret-sync.x-k8s.io/v1alpha1", "kind": "SecretSync", "metadata": map[string]any{"name": name}, "spec": map[string]any{"secretProviderClassName": class}})
		}
		answer(w, http.StatusOK, map[string]any{"apiVersion": "secret-sync.x-k8s.io/v1alpha1", "kind": "SecretSyncList", "metadata": map[string]any{}, "items": items})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	api.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	config := fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: '%s'}}]\nusers: [{name: u, user: {token: t}}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\n", server.URL)
	if err := os.WriteFile(api.kubeconfig, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return api
}
