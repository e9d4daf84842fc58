package cmd

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/server/agent"
	"github.com/lanyardhq/lanyard/server/exec"
	"github.com/lanyardhq/lanyard/server/exec/reference"
)

// vaultDouble answers what a Vault does for the references of these tests, and counts calls.
type vaultDouble struct {
	*httptest.Server
	mu    sync.Mutex
	calls map[string]int
}

// count is how often a call was made.
func (v *vaultDouble) count(call string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.calls[call]
}

func newVaultDouble(t *testing.T) *vaultDouble {
	t.Helper()
	v := &vaultDouble{calls: map[string]int{}}
	kv := func(data map[string]any, version int) any {
		return map[string]any{"data": data, "metadata": map[string]any{"version": version, "created_time": "2026-11-28T00:00:00Z", "deletion_time": "", "destroyed": false}}
	}
	mux := http.NewServeMux()
	handle := func(pattern string, answer func(r *http.Request, body map[string]any) any) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			v.mu.Lock()
			v.calls[r.Method+" "+r.URL.Path]++
			v.mu.Unlock()
			var body map[string]any
			_ = json.NewDecoder(r.Body).Decode(&body)
			found := answer(r, body)
			if found == nil {
				w.WriteHeader(http.StatusNotFound)
				found = map[string]any{"errors": []string{}}
			}
			_ = json.NewEncoder(w).Encode(found)
		})
	}
	handle("POST /v1/auth/kubernetes/login", func(_ *http.Request, body map[string]any) any {
		if body["role"] != "web" || body["jwt"] != "token" {
			return nil
		}
		return map[string]any{"auth": map[string]any{"client_token": "login", "lease_duration": 3600}}
	})
	handle("GET /v1/secret/data/db", func(r *http.Request, _ map[string]any) any {
		password, version := "planted@2", 2
		if r.URL.Query().Get("version") == "1" {
			password, version = "planted@1", 1
		}
		return map[string]any{"data": kv(map[string]any{"user": "app", "password": password, "port": 5432, "tls.crt": "PEM"}, version)}
	})
	handle("PUT /v1/pki/issue/web", func(_ *http.Request, body map[string]any) any {
		return map[string]any{"data": map[string]any{
			"serial": fmt.Sprint("of ", body["common_name"]), "key": "planted-key",
			"certificate": fmt.Sprint("certificate of ", body["common_name"]), "private_key": "planted-key", "issuing_ca": "the issuer", "ca_chain": []string{"the issuer", "the root"},
		}}
	})
	handle("PUT /v1/transit/decrypt/web", func(_ *http.Request, body map[string]any) any {
		if body["ciphertext"] != "vault:v1:abc=" {
			return nil
		}
		return map[string]any{"data": map[string]any{"plaintext": "cGxhbnRlZA=="}}
	})
	handle("/", func(*http.Request, map[string]any) any { return nil })
	v.Server = httptest.NewServer(mux)
	t.Cleanup(v.Close)
	return v
}

// reads are values that are read under a configuration, with tokens by audience.
func reads(t *testing.T, config string, tokens map[string]string) *readValues {
	t.Helper()
	dir := t.TempDir()
	path := ""
	if config != "" {
		path = filepath.Join(dir, "lanyard.yaml")
		writeText(t, path, config)
	}
	m, err := newMounter("", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.close)
	pod := &podFlags{namespace: "prod", serviceAccount: "web", tokens: map[string]string{}, attributes: map[string]string{"objects": "not those of references"}}
	for audience, token := range tokens {
		pod.tokens[audience] = filepath.Join(dir, fmt.Sprint("token-", len(pod.tokens)))
		writeText(t, pod.tokens[audience], token)
	}
	return &readValues{mounter: m, pod: pod}
}

func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func withReferences(set map[string]string) exec.Options {
	return exec.Options{Set: set, References: reference.Syntaxes()}
}

func TestExecReadsReferencesToVault(t *testing.T) {
	vault := newVaultDouble(t)
	t.Setenv("VAULT_ADDR", vault.URL)
	t.Setenv("VAULT_ROLE", "web")
	t.Setenv("VAULT_TRANSIT_KEY_ID", "web")
	values := reads(t, "", map[string]string{"vault": "token"})
	got, err := exec.Environment(t.Context(), []string{
		"PASSWORD=vault:secret/data/db#password", "OLD=vault:/secret/data/db#password#1", "PORT=vault:secret/data/db#port", "CERT=vault:secret/data/db#tls.crt",
		"URL=postgres://${vault:secret/data/db#user}:${vault:secret/data/db#${.password | urlquery}}@db:5432/app?x=${HOME}",
		"DSN=vault:secret/data/db#user=${.user} password={{${ .password }}}",
		`SERIAL=>>vault:pki/issue/web#serial#{"common_name":"web"}`, `KEY=>>vault:pki/issue/web#key#{"common_name":"web"}`,
		"SEALED=vault:v1:abc=", "OTHER=https://vault:8200/v1#x",
	}, values, withReferences(nil))
	want := []string{
		"PASSWORD=planted@2", "OLD=planted@1", "PORT=5432", "CERT=PEM",
		"URL=postgres://app:planted%402@db:5432/app?x=${HOME}",
		"DSN=user=app password={{planted@2}}",
		"SERIAL=of web", "KEY=planted-key",
		"SEALED=planted", "OTHER=https://vault:8200/v1#x",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v\n%q, want\n%q", err, got, want)
	}
	for call, times := range map[string]int{"POST /v1/auth/kubernetes/login": 1, "GET /v1/secret/data/db": 2, "PUT /v1/pki/issue/web": 1} {
		if got := vault.count(call); got != times {
			t.Errorf("%s: %d calls, want %d", call, got, times)
		}
	}
}

func TestExecReadsReferencesToClouds(t *testing.T) {
	for name, c := range map[string]struct {
		fixture   func(*testing.T) historyFixture
		variables map[string]string
		environ   []string
		want      []string
	}{
		"AWS": {
			func(t *testing.T) historyFixture { t.Helper(); _, _, f := amazonHistory(t); return f }, nil,
			[]string{"A=arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/db", "B=arn:aws:ssm:eu-west-1:111122223333:parameter/prod/flag", "C=arn:aws:iam::111122223333:role/web"},
			[]string{"A=planted-four", "B=planted-three", "C=arn:aws:iam::111122223333:role/web"},
		},
		"Azure": {
			azureHistory, map[string]string{"AZURE_KEY_VAULT_URL": "https://web-kv.vault.azure.net/", "AZURE_CLIENT_ID": "client-of-web"},
			[]string{"A=azure:keyvault:db", "B=azure:keyvault:db/a1"}, []string{"A=planted-a3", "B=planted-a1"},
		},
		"Google": {
			googleHistory, nil,
			[]string{"A=gcp:secretmanager:projects/shop/secrets/db", "B=gcp:secretmanager:projects/shop/secrets/db/versions/4"}, []string{"A=planted-5", "B=planted-4"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for variable, text := range c.variables {
				t.Setenv(variable, text)
			}
			f := c.fixture(t)
			got, err := exec.Environment(t.Context(), c.environ, reads(t, f.config, map[string]string{f.audience: f.token}), withReferences(nil))
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
}

// Nothing is made if one value is missing, and the message names every reference.
func TestExecTellsEveryReferenceThatCannotBeHad(t *testing.T) {
	vault := newVaultDouble(t)
	t.Setenv("VAULT_ADDR", vault.URL)
	t.Setenv("VAULT_ROLE", "web")
	values := reads(t, "", map[string]string{"vault": "token"})
	for want, environ := range map[string][]string{
		"vault:secret/data/none#a":             {"A=vault:secret/data/none#a", "B=vault:secret/data/db#password"},
		"vault:secret/data/db#none":            {"A=vault:secret/data/db#none"},
		`function "env" not defined`:           {"A=vault:secret/data/db#${ env `HOME` }"},
		"A: vault:a names no key":              {"A=vault:a", "B=vault:secret/data/none#a"},
		"object 1 (vault:secret/data/none#a)":  {"A=vault:a", "B=vault:secret/data/none#a"},
		"VAULT_TRANSIT_KEY_ID":                 {"A=vault:v1:abc="},
		"db@azurekeyvault: the AzureKeyVaultS": {"A=db@azurekeyvault"},
		"A: db is an object of a class":        {"A=lanyard:db"},
		"VAULT_ENV_FROM_PATH: ":                {"VAULT_ENV_FROM_PATH=secret/data/db"},
	} {
		got, err := exec.Environment(t.Context(), environ, values, withReferences(nil))
		if err == nil || got != nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "planted") {
			t.Errorf("%q: %q, %v; want %s", environ, got, err, want)
		}
	}
}

// Who gave no configuration learns what else names a store.
func TestExecSaysWhereStoresComeFrom(t *testing.T) {
	environ, hint := []string{"A=vault:p#k"}, "define it under stores, in the file of --config, or set the variable with its address, such as VAULT_ADDR"
	values := reads(t, "", nil)
	if _, err := exec.Environment(t.Context(), environ, values, withReferences(nil)); err == nil || !strings.HasSuffix(err.Error(), hint) {
		t.Error(err)
	}
	values.configured = true
	if _, err := exec.Environment(t.Context(), environ, values, withReferences(nil)); err == nil || strings.Contains(err.Error(), "VAULT_ADDR") {
		t.Error(err)
	}
}

// The operator's configuration judges the address that a variable names.
func TestExecAsksWhetherAnAddressIsAllowed(t *testing.T) {
	vault := newVaultDouble(t)
	t.Setenv("VAULT_ADDR", vault.URL)
	for configuration, want := range map[string]string{
		"policy: {classStores: false}\n": "variable VAULT_ADDR: the operator does not let classes define stores",
		"stores: {vault: {type: vault, address: 'https://vault.example.com', auth: {method: kubernetes}}}\n": "variable VAULT_ADDR: pinned by the operator's configuration",
	} {
		values := reads(t, configuration, map[string]string{"vault": "token"})
		if _, err := exec.Environment(t.Context(), []string{"A=vault:secret/data/db#user"}, values, withReferences(nil)); err == nil || !strings.Contains(err.Error(), want) || len(vault.calls) > 0 {
			t.Errorf("%s: %v, %v", configuration, err, vault.calls)
		}
	}
}

// A class has objects beside references, and some that stand for those of akv2k8s.
func TestExecReadsAClassAndReferences(t *testing.T) {
	vault := newVaultDouble(t)
	t.Setenv("VAULT_ADDR", vault.URL)
	t.Setenv("VAULT_ROLE", "web")
	values := reads(t, "", map[string]string{"vault": "token"})
	values.pod.attributes = nil
	values.class = &classManifest{name: "web", provider: "lanyard", parameters: map[string]string{"objects": `[{path: db, template: planted-db}, {path: web/tls.key, template: planted-key}]`}}
	got, err := exec.Environment(t.Context(), []string{"A=db@azurekeyvault", "B=web@azurekeyvault?tls.key", "C=${lanyard:db}-${vault:secret/data/db#user}"}, values, withReferences(map[string]string{"D": "db"}))
	if want := []string{"A=planted-db", "B=planted-key", "C=planted-db-app", "D=planted-db"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if _, err := exec.Environment(t.Context(), []string{"A=none@azurekeyvault"}, values, withReferences(nil)); err == nil || !strings.Contains(err.Error(), "none@azurekeyvault") {
		t.Error(err)
	}
}

// What an agent writes for references, exec finds in the volume.
func TestExecFindsReferencesInAVolume(t *testing.T) {
	environ := []string{"A=vault:secret/data/db#user", "B=x${vault:secret/data/db#user}", "C=db@azurekeyvault"}
	found, err := reference.Find(environ, reference.Syntaxes())
	if err != nil || len(found) != 2 {
		t.Fatal(found, err)
	}
	volume := &engine.Volume{Files: []engine.File{{Path: found[0].File(), Mode: 0o600, Contents: []byte("planted")}, {Path: "db", Mode: 0o600, Contents: []byte("planted-db")}}}
	dir := t.TempDir()
	target, err := agent.OpenTarget(dir, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	if err := target.Write(volume.Files); err != nil {
		t.Fatal(err)
	}
	got, err := exec.Environment(t.Context(), environ, exec.Volume{Dir: dir}, withReferences(nil))
	if want := []string{"A=planted", "B=xplanted", "C=planted-db"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	_, err = exec.Environment(t.Context(), []string{"A=vault:none#a", "B=none@azurekeyvault?x", "C=arn:aws:ssm:r:1:parameter/a"}, exec.Volume{Dir: dir}, withReferences(nil))
	for _, want := range []string{"A: the volume ", "no value of vault:none#a, which would be in ref-", "B: the volume ", "in neither ref-", "nor none/x; it has db, ref-", "C: the volume ", "say with --references which texts are references"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not tell %s", err, want)
		}
	}
}

// The class that is printed makes the files in which exec finds the references.
func TestExecPrintsTheClassOfReferences(t *testing.T) {
	vault := newVaultDouble(t)
	variables := map[string]string{
		"VAULT_ADDR": vault.URL, "VAULT_ROLE": "web", "REFERENCE_A": "vault:secret/data/db#password", "REFERENCE_B": "x${vault:secret/data/db#${.user | upper}}${>>vault:pki/issue/web#serial}", "REFERENCE_C": "lanyard:db",
	}
	for name, text := range variables {
		t.Setenv(name, text)
	}
	code, printed, stderr := runLanyard("exec", "--print-class", "--class", "web-references", "--namespace", "shop")
	if code != exitOK || !strings.Contains(printed, "name: web-references") || !strings.Contains(printed, "namespace: shop") {
		t.Fatalf("exit code %d: %s%s", code, printed, stderr)
	}
	dir := t.TempDir()
	class, token, volume := filepath.Join(dir, "class.yaml"), filepath.Join(dir, "token"), filepath.Join(dir, "volume")
	writeText(t, class, printed)
	writeText(t, token, "token")
	if code, out, stderr := runLanyard("mount", class, "--target", volume, "--token", "vault="+token); code != exitOK {
		t.Fatalf("exit code %d: %s%s\n%s", code, out, stderr, printed)
	}
	got, err := exec.Environment(t.Context(), []string{"A=" + variables["REFERENCE_A"], "B=" + variables["REFERENCE_B"]}, exec.Volume{Dir: volume}, withReferences(nil))
	if want := []string{"A=planted@2", "B=xAPPof <nil>"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	for want, args := range map[string][]string{"--print-class runs no command": {"--print-class", "--", "true"}, "leave --volume": {"--print-class", "--volume", volume}} {
		if code, _, stderr := runLanyard(append([]string{"exec"}, args...)...); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit code %d, %s", args, code, stderr)
		}
	}
	t.Setenv("REFERENCE_D", "vault:none")
	if code, printed, stderr := runLanyard("exec", "--print-class"); code != exitFailed || printed != "" || !strings.Contains(stderr, "REFERENCE_D: vault:none names no key") {
		t.Errorf("exit code %d: %s%s", code, printed, stderr)
	}
}

// An init container with a copy of the container's environment writes what exec then reads,
// beside the files of a class.
func TestAgentWritesReferencesForExec(t *testing.T) {
	vault := newVaultDouble(t)
	dir, class, config := mountFixture(t)
	for name, text := range map[string]string{
		"VAULT_ADDR": vault.URL, "VAULT_ROLE": "web", "A": "vault:secret/data/db#user", "B": "x${vault:secret/data/db#password}", "C": "licence@azurekeyvault",
	} {
		t.Setenv(name, text)
	}
	token := filepath.Join(dir, "token")
	writeText(t, token, "token")
	settings, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	writeText(t, config, string(settings)+"policy: {classStores: ['*', 127.0.0.0/8]}\n")
	target := filepath.Join(dir, "volume")
	args := []string{"agent", "--once", "--references", "--target", target, "--token", "vault=" + token}
	code, _, stderr := runLanyard(append(args, "--class-file", class, "--config", config)...)
	if code != exitOK || strings.Contains(stderr, "planted") {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	got, err := exec.Environment(t.Context(), []string{"A=vault:secret/data/db#user", "B=x${vault:secret/data/db#password}", "C=licence@azurekeyvault"}, exec.Volume{Dir: target}, withReferences(nil))
	if want := []string{"A=app", "B=xplanted@2", "C=planted-one"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	// Without the class nothing stands for an object of the cluster.
	if code, _, stderr := runLanyard(args...); code != exitFailed || !strings.Contains(stderr, "--references: ") || !strings.Contains(stderr, "licence") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if code, _, stderr := runLanyard("agent", "--once", "--references=bank-vaults", "--target", dir+"/some", "--token", "vault="+token); code != exitOK {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	t.Setenv("A", "vault:secret/data/none#user")
	if code, _, stderr := runLanyard("agent", "--once", "--references=bank-vaults", "--target", dir+"/none", "--token", "vault="+token); code != exitFailed || !strings.Contains(stderr, "vault:secret/data/none#user") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	t.Setenv("A", "vault:secret/data/db")
	if code, _, stderr := runLanyard("agent", "--once", "--references", "--target", dir+"/wrong"); code != exitUsage || !strings.Contains(stderr, "--references: ") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if code, _, stderr := runLanyard("agent", "--once", "--references=none", "--target", dir+"/wrong"); code != exitUsage || !strings.Contains(stderr, "must be some of") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
