package cmd

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
)

// brokenSetup is a row of testdata/doctor/setups.yaml.
type brokenSetup struct{ Name, Setup, Check, Says, Log, Alert, Status, Page string }

func brokenSetups(t *testing.T) []brokenSetup {
	t.Helper()
	text, err := os.ReadFile("testdata/doctor/setups.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var setups []brokenSetup
	if err := yaml.Unmarshal(text, &setups); err != nil || len(setups) != 20 {
		t.Fatalf("%d set-ups: %v", len(setups), err)
	}
	return setups
}

// Each of the twenty set-ups fails the check that is about it, and no other check takes
// it for something else.
func TestDoctorTellsEachBrokenSetup(t *testing.T) {
	made := map[string]func(t *testing.T) []string{}
	maps.Copy(made, brokenNodes)
	for name, change := range brokenClusters {
		made[name] = func(t *testing.T) []string {
			cluster := newDoctorAPI(t)
			change(cluster)
			return []string{"--kubeconfig", cluster.start()}
		}
	}
	for _, setup := range brokenSetups(t) {
		t.Run(setup.Name, func(t *testing.T) {
			t.Parallel()
			if made[setup.Name] == nil {
				t.Fatal("nothing makes this set-up")
			}
			report := diagnose(t, exitFailed, made[setup.Name](t)...)
			told := false
			for _, finding := range report.Findings {
				// A value that no key opens cannot be read.
				if finding.Result == doctorFail && finding.Check != setup.Check && (setup.Name != "ring-foreign" || finding.Check != "reads") {
					t.Errorf("another check fails too: %+v", finding)
				}
				if finding.Result == doctorFail && strings.Contains(finding.Says, setup.Says) {
					told = true
					if finding.Fix == "" || finding.Page != "docs/doctor.md#"+setup.Check {
						t.Errorf("it does not say how to fix it: %+v", finding)
					}
				}
			}
			if !told {
				t.Errorf("%s does not say %q:\n%s", setup.Check, setup.Says, shownReport(report))
			}
		})
	}
}

// Where all is well, nothing fails and nothing is warned of.
func TestDoctorFindsNothingWhereAllIsWell(t *testing.T) {
	for name, args := range map[string][]string{
		"cluster": {"--kubeconfig", newDoctorAPI(t).start()},
		"node":    newDoctorVault(t).args(t, "secret/data/db", ""),
	} {
		t.Run(name, func(t *testing.T) {
			report := diagnose(t, exitOK, args...)
			for _, finding := range report.Findings {
				if finding.Result != doctorOK {
					t.Errorf("%+v", finding)
				}
			}
		})
	}
}

// diagnose runs doctor and returns what it found.
func diagnose(t *testing.T, want int, args ...string) doctorReport {
	t.Helper()
	code, stdout, stderr := runLanyard(append([]string{"doctor", "-o", "json"}, args...)...)
	var report doctorReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != want {
		t.Fatalf("exit code %d, %v:\n%s%s", code, err, stdout, stderr)
	}
	return report
}

func shownReport(report doctorReport) string {
	var text strings.Builder
	if err := report.printText(&text); err != nil {
		return err.Error()
	}
	return text.String()
}

// doctorVault is as much of a Vault as doctor asks: its health, logins of the kubernetes
// method, the role, and secrets of KV version 2.
type doctorVault struct {
	*httptest.Server
	issuer   *identitytest.Issuer
	clock    time.Duration // by which its clock differs
	sealed   bool
	audience string // of the role
	readable bool   // the role, for its own tokens
}

func newDoctorVault(t *testing.T) *doctorVault {
	t.Helper()
	v := &doctorVault{issuer: (&identitytest.Issuers{Own: "cluster"}).NewIssuer(t), audience: "vault", readable: true}
	answer := func(w http.ResponseWriter, status int, body any) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body) //nolint:errchkjson // the client may be gone
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/sys/health", func(w http.ResponseWriter, r *http.Request) {
		if v.sealed {
			code, _ := strconv.Atoi(r.URL.Query().Get("sealedcode"))
			answer(w, code, map[string]any{"initialized": true, "sealed": true})
			return
		}
		answer(w, http.StatusOK, map[string]any{"initialized": true})
	})
	mux.HandleFunc("/v1/auth/kubernetes/login", func(w http.ResponseWriter, r *http.Request) {
		var login struct{ Role, JWT string }
		_ = json.NewDecoder(r.Body).Decode(&login)
		if login.Role != "web" {
			answer(w, http.StatusBadRequest, map[string]any{"errors": []string{fmt.Sprintf("invalid role name %q", login.Role)}})
			return
		}
		answer(w, http.StatusOK, map[string]any{"auth": map[string]any{"client_token": "planted-client-token", "lease_duration": 3600, "renewable": true}})
	})
	mux.HandleFunc("/v1/auth/kubernetes/role/web", func(w http.ResponseWriter, _ *http.Request) {
		if !v.readable {
			answer(w, http.StatusForbidden, map[string]any{"errors": []string{"permission denied"}})
			return
		}
		answer(w, http.StatusOK, map[string]any{"data": map[string]any{"audience": v.audience}})
	})
	mux.HandleFunc("/v1/auth/token/revoke-self", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/v1/secret/data/db", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"data": map[string]any{"data": map[string]any{"password": "planted-password"}, "metadata": map[string]any{"version": 1, "created_time": "2026-01-01T00:00:00Z"}}})
	})
	mux.HandleFunc("/v1/secret/data/denied/db", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusForbidden, map[string]any{"errors": []string{"1 error occurred:\n\t* permission denied\n\n"}})
	})
	// As Vault's KV version 2 answers it.
	mux.HandleFunc("/v1/secret/db", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusNotFound, map[string]any{"errors": []string{}, "warnings": []string{"Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. If using the Vault CLI, use 'vault kv get' for this operation."}})
	})
	v.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(v.clock).UTC().Format(http.TimeFormat))
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(v.Close)
	return v
}

// config writes a configuration with the store, and returns its file.
func (v *doctorVault) config(t *testing.T, more string) string {
	t.Helper()
	return v.configAt(t, v.URL, v.Certificate(), "web", more)
}

func (*doctorVault) configAt(t *testing.T, address string, authority *x509.Certificate, role, more string) string {
	t.Helper()
	directory := t.TempDir()
	ca := filepath.Join(directory, "ca.pem")
	writeTestFile(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Raw})))
	path := filepath.Join(directory, "lanyard.yaml")
	writeTestFile(t, path, fmt.Sprintf("stores:\n  vault:\n    type: vault\n    address: %s\n    retries: 0\n    tls: {caCertFile: %s}\n    auth: {method: kubernetes, role: %s}\n%s", address, ca, role, more))
	return path
}

func writeTestFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// token writes a token of the pod's.
func (v *doctorVault) token(t *testing.T, ends time.Time) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	writeTestFile(t, path, v.issuer.Token(t, "shop/web", "vault", ends))
	return "vault=" + path
}

// args are those of a diagnosis of the store with a class of one object.
func (v *doctorVault) args(t *testing.T, key, more string) []string {
	t.Helper()
	return []string{"--config", v.config(t, more), "--token", v.token(t, time.Now().Add(time.Hour)), doctorClassFile(t, key)}
}

func doctorClassFile(t *testing.T, key string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "class.yaml")
	writeTestFile(t, path, classText("lanyard", "objects", "- {path: password, store: vault, key: "+key+"}\n"))
	return path
}

// brokenNodes make the set-ups that are seen from a machine, and return doctor's arguments.
var brokenNodes = map[string]func(t *testing.T) []string{
	"vault-unreachable": func(t *testing.T) []string {
		v := newDoctorVault(t)
		args := v.args(t, "secret/data/db", "")[:4] // without a class: what it reads fails too
		v.Close()
		return args
	},
	"dns": func(t *testing.T) []string {
		v := newDoctorVault(t)
		return []string{"--config", v.configAt(t, "https://vault.invalid:8200", v.Certificate(), "web", "")}
	},
	"wrong-role": func(t *testing.T) []string {
		v := newDoctorVault(t)
		return []string{"--config", v.configAt(t, v.URL, v.Certificate(), "wrong", ""), "--token", v.token(t, time.Now().Add(time.Hour))}
	},
	"expired-token": func(t *testing.T) []string {
		v := newDoctorVault(t)
		return []string{"--config", v.config(t, ""), "--token", v.token(t, time.Now().Add(-time.Minute))}
	},
	"policy": func(t *testing.T) []string { return newDoctorVault(t).args(t, "secret/data/denied/db", "") },
	"kv2-without-data": func(t *testing.T) []string {
		return newDoctorVault(t).args(t, "secret/db", "")
	},
	"wrong-ca": func(t *testing.T) []string {
		v := newDoctorVault(t)
		other := newOtherAuthority(t)
		return []string{"--config", v.configAt(t, v.URL, other, "web", "")}
	},
	"clock": func(t *testing.T) []string {
		v := newDoctorVault(t)
		v.clock = -2 * time.Hour
		return v.args(t, "secret/data/db", "")
	},
	"socket-gone": func(t *testing.T) []string {
		v := newDoctorVault(t)
		return append(v.args(t, "secret/data/db", ""), "--node", "--socket-dir", t.TempDir())
	},
	"ring-foreign": func(t *testing.T) []string {
		v := newDoctorVault(t)
		own, _ := doctorRing(t)
		_, public := doctorRing(t)
		value := filepath.Join(t.TempDir(), "value")
		writeTestFile(t, value, "planted-sealed-value")
		code, sealed, stderr := runLanyard("seal", "--public", public, "-n", "prod", "--service-account", "web", "--name", "password", "--file", value)
		if code != exitOK {
			t.Fatal(stderr)
		}
		class := filepath.Join(t.TempDir(), "class.yaml")
		writeTestFile(t, class, classText("lanyard", "objects", "- {path: password, sealed: "+strings.TrimSpace(sealed)+"}\n"))
		return append([]string{"--config", v.config(t, "  sealed: {type: sealed, keyRing: "+own+"}\n")}, class)
	},
	"file-root-missing": func(t *testing.T) []string {
		v := newDoctorVault(t)
		missing := filepath.Join(t.TempDir(), "missing")
		return []string{"--config", v.config(t, "  files: {type: file, root: "+missing+", allow: ['*/*']}\n"), "--node", "--dialects="}
	},
	"kms-key-refused": func(t *testing.T) []string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v1/auth/token/lookup-self" {
				_, _ = io.WriteString(w, `{"data":{"ttl":3600}}`)
				return
			}
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"errors":["permission denied"]}`)
		}))
		t.Cleanup(server.Close)
		directory := t.TempDir()
		token := filepath.Join(directory, "token")
		writeTestFile(t, token, "planted-vault-token")
		ring := filepath.Join(directory, "ring.yaml")
		writeTestFile(t, ring, fmt.Sprintf("kind: lanyard.kms-ring.v1\nkeys:\n- {name: one, state: write, cluster: prod, service: {type: vault, address: '%s', key: kms, retries: 0, auth: {method: tokenFile, tokenFile: %s}}}\n", server.URL, token))
		return []string{"--ring", ring}
	},
}

// doctorRing makes a key ring, and returns its file and that of its public key.
func doctorRing(t *testing.T) (ring, public string) {
	t.Helper()
	directory := t.TempDir()
	ring, public = filepath.Join(directory, "ring.yaml"), filepath.Join(directory, "public.yaml")
	if code, _, stderr := runLanyard("keygen", "--out", ring, "--cluster", "dev", "--public-out", public); code != exitOK {
		t.Fatal(stderr)
	}
	return ring, public
}

// newOtherAuthority is a certificate that signed nothing here.
func newOtherAuthority(t *testing.T) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// doctorAPI is as much of an API server as doctor asks: the objects of a cluster, by their
// paths, whether an account has a right, and metrics and logs of pods.
type doctorAPI struct {
	t       *testing.T
	objects []map[string]any
	denied  string   // the resource that nobody may use
	hidden  []string // resources that may not be listed
	metrics string
	log     string
	asked   []string // paths
	mu      sync.Mutex
	values  bool // a Secret was read with its values
}

func newDoctorAPI(t *testing.T) *doctorAPI {
	t.Helper()
	a := &doctorAPI{t: t, metrics: "lanyard_store_up{store=\"vault\"} 1\nlanyard_config_last_reload_successful 1\n", log: "I1129 mount.go:1] All is well\n"}
	for _, file := range []string{"testdata/doctor/cluster.yaml", "../deployment/manifests/lanyard.yaml", "../deployment/manifests/sync.yaml", "../deployment/manifests/inject.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.ReplaceAll(text, []byte("$now"), []byte(time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")))
		decoder := yaml.NewDecoder(bytes.NewReader(text))
		for {
			var object map[string]any
			if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if object != nil {
				a.objects = append(a.objects, object)
			}
		}
	}
	// What controllers and the webhook fill in.
	a.find("DaemonSet", "lanyard")["status"] = map[string]any{"desiredNumberScheduled": 2, "numberReady": 2}
	for _, name := range []string{"lanyard-sync", "lanyard-inject"} {
		a.find("Deployment", name)["status"] = map[string]any{"replicas": 1, "availableReplicas": 1}
	}
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: newOtherAuthority(t).Raw})
	for _, hook := range a.find("MutatingWebhookConfiguration", "lanyard-inject.lanyard")["webhooks"].([]any) {
		hook.(map[string]any)["clientConfig"].(map[string]any)["caBundle"] = base64.StdEncoding.EncodeToString(authority)
	}
	a.configure(doctorClusterConfig)
	return a
}

// doctorClusterConfig is the configuration of the cluster.
const doctorClusterConfig = `stores:
  vault: {type: vault, address: 'https://vault.example.com', auth: {method: kubernetes}}
  legacy: # planted-comment-of-the-operator
    type: vault
    address: https://vault.example.com
    auth: {method: approle, roleID: planted-role-id-inline, secretIDCredential: id}
`

// configure makes text the operator's configuration.
func (a *doctorAPI) configure(text string) {
	a.find("ConfigMap", "lanyard")["data"] = map[string]any{"lanyard.yaml": text}
}

func (a *doctorAPI) find(kind, name string) map[string]any {
	for _, object := range a.objects {
		if object["kind"] == kind && object["metadata"].(map[string]any)["name"] == name {
			return object
		}
	}
	a.t.Fatalf("there is no %s %s", kind, name)
	return nil
}

func (a *doctorAPI) remove(kind, name string) {
	object := a.find(kind, name)
	a.objects = slices.DeleteFunc(a.objects, func(one map[string]any) bool {
		return reflect.ValueOf(one).Pointer() == reflect.ValueOf(object).Pointer()
	})
}

// change changes the text of an object.
func (a *doctorAPI) change(kind, name, from, to string) {
	object := a.find(kind, name)
	text, err := json.Marshal(object)
	if err != nil || !strings.Contains(string(text), from) {
		a.t.Fatalf("%s %s has no %s: %v\n%s", kind, name, from, err, text)
	}
	clear(object)
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), from, to)), &object); err != nil {
		a.t.Fatal(err)
	}
}

// resourceOf is the path element of a kind.
func resourceOf(kind string) string {
	kind = strings.ToLower(kind)
	switch {
	case strings.HasSuffix(kind, "y"):
		return strings.TrimSuffix(kind, "y") + "ies"
	case strings.HasSuffix(kind, "s"):
		return kind + "es"
	}
	return kind + "s"
}

func (a *doctorAPI) start() string {
	a.t.Helper()
	server := httptest.NewServer(a)
	a.t.Cleanup(server.Close)
	path := filepath.Join(a.t.TempDir(), "kubeconfig")
	writeTestFile(a.t, path, fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: '%s'}}]\nusers: [{name: u, user: {token: t}}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\n", server.URL))
	return path
}

func (a *doctorAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.asked = append(a.asked, r.Method+" "+r.URL.Path)
	a.mu.Unlock()
	answer := func(status int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body) //nolint:errchkjson // the client may be gone
	}
	failure := func(code int, reason string) {
		answer(code, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": "planted: " + reason})
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case r.URL.Path == "/version":
		answer(http.StatusOK, map[string]any{"gitVersion": "v1.34.4"})
		return
	case strings.HasSuffix(r.URL.Path, "/proxy/metrics"):
		_, _ = io.WriteString(w, a.metrics)
		return
	case strings.HasSuffix(r.URL.Path, "/log"):
		_, _ = io.WriteString(w, a.log)
		return
	case r.Method == http.MethodPost && parts[len(parts)-1] == "subjectaccessreviews":
		var review struct {
			Spec struct{ ResourceAttributes struct{ Resource string } }
		}
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			a.t.Error(err)
		}
		answer(http.StatusCreated, map[string]any{"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "status": map[string]any{"allowed": review.Spec.ResourceAttributes.Resource != a.denied}})
		return
	}
	var group string
	if parts[0] == "apis" {
		group, parts = parts[1]+"/"+parts[2], parts[3:]
	} else {
		group, parts = parts[1], parts[2:]
	}
	namespace, name := "", ""
	if parts[0] == "namespaces" && len(parts) > 2 {
		namespace, parts = parts[1], parts[2:]
	}
	if len(parts) > 1 {
		name = parts[1]
	}
	if slices.Contains(a.hidden, parts[0]) {
		failure(http.StatusForbidden, "Forbidden")
		return
	}
	items := []any{}
	for _, object := range a.objects {
		metadata := object["metadata"].(map[string]any)
		labels, _ := metadata["labels"].(map[string]any)
		if object["apiVersion"] != group || resourceOf(object["kind"].(string)) != parts[0] || namespace != "" && metadata["namespace"] != namespace || name != "" && metadata["name"] != name {
			continue
		}
		chosen := true
		for selector := range strings.SplitSeq(r.URL.Query().Get("labelSelector"), ",") {
			label, value, _ := strings.Cut(selector, "=")
			chosen = chosen && (label == "" || labels[label] == value)
		}
		if chosen {
			items = append(items, object)
		}
	}
	if parts[0] == "secrets" && !strings.Contains(r.Header.Get("Accept"), "PartialObjectMetadata") {
		a.values = true
	}
	switch {
	case name == "":
		answer(http.StatusOK, map[string]any{"apiVersion": group, "kind": "List", "metadata": map[string]any{}, "items": items})
	case len(items) == 0:
		failure(http.StatusNotFound, "NotFound")
	case parts[0] == "secrets":
		answer(http.StatusOK, map[string]any{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": items[0].(map[string]any)["metadata"]})
	default:
		answer(http.StatusOK, items[0])
	}
}

// brokenClusters make the set-ups that are seen from a cluster.
var brokenClusters = map[string]func(a *doctorAPI){
	"no-token-requests": func(a *doctorAPI) {
		delete(a.find("CSIDriver", driverName)["spec"].(map[string]any), "tokenRequests")
	},
	"rotation-off": func(a *doctorAPI) {
		a.change("DaemonSet", "csi-secrets-store", "--enable-secret-rotation=true", "--enable-secret-rotation=false")
	},
	"socket-elsewhere": func(a *doctorAPI) {
		a.change("DaemonSet", "lanyard", "--socket-dir=/etc/kubernetes/secrets-store-csi-providers", "--socket-dir=/opt/providers")
	},
	"ring-missing": func(a *doctorAPI) {
		a.change("DaemonSet", "lanyard", `"volumes":[`, `"volumes":[{"name":"keyring","secret":{"secretName":"keyring"}},`)
		a.remove("Secret", "keyring")
	},
	"class-wrong": func(a *doctorAPI) { a.change("SecretProviderClass", "web", "property:", "prop:") },
	"chart-value-wrong": func(a *doctorAPI) {
		a.configure("cache: {refresh: soon}\n")
	},
	"controller-without-rights": func(a *doctorAPI) { a.denied = "secrets" },
	"node-without-provider":     func(a *doctorAPI) { a.remove("Pod", "lanyard-b") },
}

// TestDoctorAtAStore is what doctor says of one store, beside the twenty set-ups.
func TestDoctorAtAStore(t *testing.T) {
	for name, c := range map[string]struct {
		change func(v *doctorVault)
		args   func(t *testing.T, v *doctorVault) []string // nil for a class and a token
		want   doctorFinding
		code   int
	}{
		"a role for tokens of any audience": {
			change: func(v *doctorVault) { v.audience = "" },
			want:   doctorFinding{Check: "audience", Result: doctorWarn, Says: "the role takes tokens of any audience"},
		},
		"a role that may not be read": {
			change: func(v *doctorVault) { v.readable = false },
			want:   doctorFinding{Check: "audience", Result: doctorUnknown, Says: "the login may not read its own role"},
		},
		"a role that takes a token of another audience": {
			change: func(v *doctorVault) { v.readable = false },
			args: func(t *testing.T, v *doctorVault) []string {
				other := filepath.Join(t.TempDir(), "other")
				writeTestFile(t, other, v.issuer.Token(t, "shop/web", "lanyard-doctor.invalid", time.Now().Add(time.Hour)))
				return append(v.args(t, "secret/data/db", ""), "--token", "lanyard-doctor.invalid="+other)
			},
			want: doctorFinding{Check: "audience", Result: doctorWarn, Says: "the role takes tokens of any audience"},
		},
		"a sealed Vault": {
			change: func(v *doctorVault) { v.sealed = true },
			want:   doctorFinding{Check: "health", Result: doctorFail, Says: "Vault is sealed"}, code: exitFailed,
		},
		"a clock that is a minute off": {
			change: func(v *doctorVault) { v.clock = time.Minute },
			want:   doctorFinding{Check: "clock", Result: doctorWarn, Says: "behind that of"},
		},
		"no token": {
			args: func(t *testing.T, v *doctorVault) []string { return []string{"--config", v.config(t, "")} },
			want: doctorFinding{Check: "login", Result: doctorUnknown, Says: "no token of a pod's was given"},
		},
		"a role that classes give": {
			args: func(t *testing.T, v *doctorVault) []string {
				path := filepath.Join(t.TempDir(), "lanyard.yaml")
				writeTestFile(t, path, "stores: {vault: {type: vault, address: '"+v.URL+"', tls: {insecureSkipVerify: true}, auth: {method: kubernetes}}}\n")
				return []string{"--config", path, "--token", v.token(t, time.Now().Add(time.Hour))}
			},
			want: doctorFinding{Check: "login", Result: doctorUnknown, Says: "auth.role is left to classes"},
		},
		"a configuration that is none": {
			args: func(t *testing.T, _ *doctorVault) []string {
				path := filepath.Join(t.TempDir(), "lanyard.yaml")
				writeTestFile(t, path, "cache: {refresh: soon}\n")
				return []string{"--config", path}
			},
			want: doctorFinding{Check: "configuration", Result: doctorFail, Says: "cache.refresh"}, code: exitFailed,
		},
		"a file that others may read": {
			args: func(t *testing.T, v *doctorVault) []string {
				token := filepath.Join(t.TempDir(), "token")
				writeTestFile(t, token, "planted-vault-token")
				if err := os.Chmod(token, 0o644); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(t.TempDir(), "lanyard.yaml")
				writeTestFile(t, path, "stores: {vault: {type: vault, address: '"+v.URL+"', tls: {insecureSkipVerify: true}, allow: ['*/*'], retries: 0, auth: {method: tokenFile, tokenFile: "+token+"}}}\n")
				return []string{"--config", path, "--node", "--dialects="}
			},
			want: doctorFinding{Check: "files", Result: doctorFail, Says: "permissions 0644 are too open"}, code: exitFailed,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newDoctorVault(t)
			if c.change != nil {
				c.change(v)
			}
			if c.args == nil {
				c.args = func(t *testing.T, v *doctorVault) []string { return v.args(t, "secret/data/db", "") }
			}
			wantFinding(t, diagnose(t, c.code, c.args(t, v)...), c.want)
		})
	}
}

func wantFinding(t *testing.T, report doctorReport, want doctorFinding) {
	t.Helper()
	if !slices.ContainsFunc(report.Findings, func(found doctorFinding) bool {
		return found.Check == want.Check && found.Result == want.Result && strings.Contains(found.Says, want.Says)
	}) {
		t.Errorf("%s %s does not say %q:\n%s", want.Result, want.Check, want.Says, shownReport(report))
	}
}

// TestDoctorInACluster is what doctor says of a cluster, beside the twenty set-ups.
func TestDoctorInACluster(t *testing.T) {
	waiting := func(reason string) map[string]any {
		return map[string]any{"phase": "Running", "containerStatuses": []any{map[string]any{
			"name": "x", "ready": false, "restartCount": 4, "state": map[string]any{"waiting": map[string]any{"reason": reason, "message": "back-off"}},
			"lastState": map[string]any{"terminated": map[string]any{"reason": "Error", "exitCode": 2}},
		}}}
	}
	for name, c := range map[string]struct {
		change func(a *doctorAPI)
		want   doctorFinding
	}{
		"no CSIDriver": {func(a *doctorAPI) { a.remove("CSIDriver", driverName) }, doctorFinding{Check: "csidriver", Result: doctorFail, Says: "is not installed"}},
		"podInfoOnMount": {func(a *doctorAPI) {
			a.change("CSIDriver", driverName, `"podInfoOnMount":true`, `"podInfoOnMount":false`)
		}, doctorFinding{Check: "csidriver", Result: doctorFail, Says: "podInfoOnMount is not true"}},
		"requiresRepublish": {func(a *doctorAPI) {
			a.change("CSIDriver", driverName, `"requiresRepublish":true`, `"requiresRepublish":false`)
		}, doctorFinding{Check: "rotation", Result: doctorFail, Says: "requiresRepublish is not true"}},
		"an older driver": {func(a *doctorAPI) {
			a.change("DaemonSet", "csi-secrets-store", "driver:v1.6.0", "driver:v1.4.2@sha256:0")
		}, doctorFinding{Check: "versions", Result: doctorWarn, Says: "this is v1.4.2"}},
		"a driver before v1":       {func(a *doctorAPI) { a.change("DaemonSet", "csi-secrets-store", "driver:v1.6.0", "driver:v0.0.20") }, doctorFinding{Check: "versions", Result: doctorFail, Says: "older than 1.0.0"}},
		"a driver that fails":      {func(a *doctorAPI) { a.change("DaemonSet", "csi-secrets-store", `"numberReady":2`, `"numberReady":1`) }, doctorFinding{Check: "driver", Result: doctorFail, Says: "1 of its 2 pods are ready"}},
		"a provider that fails":    {func(a *doctorAPI) { a.find("Pod", "lanyard-b")["status"] = waiting("CrashLoopBackOff") }, doctorFinding{Check: "provider", Result: doctorFail, Place: "node node-2", Says: "CrashLoopBackOff, 4 restarts, last ended with exit code 2 (Error)"}},
		"no Lanyard":               {func(a *doctorAPI) { a.remove("DaemonSet", "lanyard") }, doctorFinding{Check: "provider", Result: doctorFail, Says: "Lanyard is not installed"}},
		"a store that is down":     {func(a *doctorAPI) { a.metrics = "lanyard_store_up{store=\"vault\"} 0\n" }, doctorFinding{Check: "stores", Result: doctorFail, Place: "store vault", Says: "lanyard-a found it unavailable"}},
		"an earlier configuration": {func(a *doctorAPI) { a.metrics = "lanyard_config_last_reload_successful 0\n" }, doctorFinding{Check: "cluster-configuration", Result: doctorFail, Says: "it goes on with an earlier configuration"}},
		"a file that is not mounted": {func(a *doctorAPI) {
			a.configure("stores: {sealed: {type: sealed, keyRing: /etc/lanyard/secrets/keyring/keyring.yaml}}\n")
		}, doctorFinding{Check: "mounted-files", Result: doctorFail, Says: "is not mounted in the provider's pods"}},
		"a webhook without pods": {func(a *doctorAPI) {
			a.remove("Pod", "lanyard-inject-a")
			a.find("Deployment", "lanyard-inject")["status"] = map[string]any{}
		}, doctorFinding{Check: "webhook", Result: doctorFail, Says: "pods that ask for secrets are refused"}},
		"a webhook that nobody trusts": {func(a *doctorAPI) {
			for _, hook := range a.find("MutatingWebhookConfiguration", "lanyard-inject.lanyard")["webhooks"].([]any) {
				delete(hook.(map[string]any)["clientConfig"].(map[string]any), "caBundle")
			}
		}, doctorFinding{Check: "webhook", Result: doctorFail, Says: "is empty: API servers trust nobody there"}},
		"a controller that fails": {func(a *doctorAPI) {
			a.find("Pod", "lanyard-sync-a")["status"] = waiting("CrashLoopBackOff")
			a.find("Deployment", "lanyard-sync")["status"] = map[string]any{"replicas": 1}
		}, doctorFinding{Check: "sync-controller", Result: doctorFail, Says: "no Secret is written or renewed"}},
		"a policy without a binding": {func(a *doctorAPI) { a.remove("ValidatingAdmissionPolicyBinding", "lanyard-sync-secrets.lanyard") }, doctorFinding{Check: "admission-policies", Result: doctorFail, Says: "holds for nobody"}},
		"a node's clock": {func(a *doctorAPI) {
			a.find("Lease", "node-2")["spec"] = map[string]any{"renewTime": time.Now().Add(2 * time.Hour).UTC().Format("2006-01-02T15:04:05.000000Z"), "leaseDurationSeconds": 40}
		}, doctorFinding{Check: "node-clocks", Result: doctorFail, Place: "node node-2", Says: "the clock of the node is 2h ahead of"}},
		"what may not be listed": {func(a *doctorAPI) { a.hidden = []string{"events"} }, doctorFinding{Check: "pods", Result: doctorUnknown, Says: "events cannot be listed"}},
		"a pod that waits": {func(a *doctorAPI) {
			a.objects = append(a.objects, map[string]any{
				"apiVersion": "v1", "kind": "Event", "metadata": map[string]any{"name": "e", "namespace": "shop"}, "reason": "FailedMount", "lastTimestamp": "2026-01-01T00:00:00Z",
				"involvedObject": map[string]any{"kind": "Pod", "namespace": "shop", "name": "web-0"},
				"message":        `MountVolume.SetUp failed for volume "s" : rpc error: code = Unknown desc = failed to mount secrets store objects for pod shop/web-0, err: rpc error: code = Unauthenticated desc = login as role "web": refused`,
			}, map[string]any{
				"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "web-0", "namespace": "shop"}, "status": map[string]any{"phase": "Pending"},
				"spec": map[string]any{"containers": []any{}, "volumes": []any{map[string]any{"name": "s", "csi": map[string]any{"driver": driverName, "volumeAttributes": map[string]any{"secretProviderClass": "web"}}}}},
			})
		}, doctorFinding{Check: "pods", Result: doctorFail, Says: `login as role "web": refused`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newDoctorAPI(t)
			c.change(a)
			code := exitOK
			if c.want.Result == doctorFail {
				code = exitFailed
			}
			report := diagnose(t, code, "--kubeconfig", a.start())
			wantFinding(t, report, c.want)
			for _, check := range clusterChecks {
				if !slices.ContainsFunc(report.Findings, func(f doctorFinding) bool { return f.Check == check.name }) {
					t.Errorf("%s says nothing", check.name)
				}
			}
			if a.values {
				t.Error("a Secret was read with its values")
			}
		})
	}
}

func TestDoctorRefusesFlagsThatContradictEachOther(t *testing.T) {
	there := filepath.Join(t.TempDir(), "there")
	writeTestFile(t, there, "kept")
	for _, c := range []struct {
		args  []string
		tells string
	}{
		{[]string{"--node"}, "--node needs --config"},
		{[]string{"web.yaml"}, "a class needs --config"},
		{[]string{"--service-account", "web"}, "need --config"},
		{[]string{"--timeout", "1ms"}, "--timeout must be"},
		{[]string{"--config", "x", "--bundle", there}, "is there already"},
		{[]string{"--kubeconfig", "/none"}, "no API server is known"},
	} {
		code, stdout, stderr := runLanyard(append([]string{"doctor"}, c.args...)...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, c.tells) {
			t.Errorf("%v: exit code %d, %s%s", c.args, code, stdout, stderr)
		}
	}
	if kept, err := os.ReadFile(there); err != nil || string(kept) != "kept" {
		t.Errorf("%s, %v", kept, err)
	}
}

// An API server that cannot be reached is one finding, and the other checks say that they
// could not look.
func TestDoctorWithoutAnAPIServer(t *testing.T) {
	a := newDoctorAPI(t)
	kubeconfig := a.start()
	text, err := os.ReadFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	writeTestFile(t, kubeconfig, regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllString(string(text), "127.0.0.1:1"))
	report := diagnose(t, exitFailed, "--kubeconfig", kubeconfig)
	wantFinding(t, report, doctorFinding{Check: "api-server", Result: doctorFail, Says: "does not answer"})
	if report.count(doctorFail) != 1 || report.count(doctorUnknown) != len(clusterChecks)-1 {
		t.Error(shownReport(report))
	}
}

// What is planted in every place of a cluster and of a configuration is not in the
// archive.
func TestTheBundleHoldsNoSecret(t *testing.T) {
	a := newDoctorAPI(t)
	const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJwbGFudGVkIjoicGxhbnRlZCJ9.cGxhbnRlZA"
	leaks := []string{
		jwt, "hvs.CAESIPlantedPlantedPlantedPlanted", "AKIAPLANTEDPLANTED12", "ghp_plantedplantedplantedplantedplanted1",
		"planted-password-in-url", "planted-after-equals", "planted-after-colon", "planted-bearer", "planted-query", "planted-pem-body",
		"PLantedBase64PLantedBase64PLantedBase64PLanted0123456789", "deadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdead0001",
	}
	a.log = strings.Join([]string{
		"I1129 a.go:1] token " + leaks[0], "x " + leaks[1] + " y", leaks[2], leaks[3], "https://user:" + leaks[4] + "@host/path",
		"password=" + leaks[5], `{"apiKey": "` + leaks[6] + `"}`, "Authorization: Bearer " + leaks[7], "GET https://host/?sig=" + leaks[8],
		"-----BEGIN EC PRIVATE KEY-----\n" + leaks[9] + "\n-----END EC PRIVATE KEY-----", leaks[10], leaks[11],
		"what stands elsewhere: planted-environment-value planted-role-id-inline planted-template-value planted-annotation-value",
	}, "\n") + "\nstays: Mount failed pod=shop/web-0\n"
	a.change("SecretProviderClass", "web", "auth: {role: web}", "auth: {role: web, token: planted-inline-credential}")
	a.objects = append(a.objects, map[string]any{
		"apiVersion": "v1", "kind": "Event", "metadata": map[string]any{"name": "e", "namespace": "shop"}, "reason": "FailedMount",
		"involvedObject": map[string]any{"kind": "Pod", "namespace": "shop", "name": "web-0"}, "message": "desc = secret: planted-event-secret",
	}, map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "web-0", "namespace": "shop"}, "status": map[string]any{"phase": "Pending"},
		"spec": map[string]any{"containers": []any{}, "volumes": []any{map[string]any{"name": "s", "csi": map[string]any{"driver": driverName, "volumeAttributes": map[string]any{"secretProviderClass": "web"}}}}},
	}, map[string]any{
		"apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClassPodStatus", "metadata": map[string]any{"name": "s", "namespace": "shop", "annotations": map[string]any{"a": "planted-status-annotation"}},
		"status": map[string]any{"podName": "web-0", "secretProviderClassName": "web", "objects": []any{map[string]any{"id": "password", "version": "aVeryLongVersion0123456789aVeryLongVersion"}}},
	})
	v := newDoctorVault(t)
	config := v.configAt(t, v.URL, v.Certificate(), "web", "  legacy: {type: vault, address: 'https://vault.invalid', auth: {method: approle, roleID: planted-role-id-inline, secretIDCredential: id}} # planted-comment\n")
	for name, args := range map[string][]string{
		"cluster": {"--kubeconfig", a.start()},
		"node":    {"--config", config, "--token", v.token(t, time.Now().Add(time.Hour)), doctorClassFile(t, "secret/data/db")},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "support.tar.gz")
			code, stdout, stderr := runLanyard(append([]string{"doctor", "--bundle", path}, args...)...)
			if code != exitFailed {
				t.Fatalf("exit code %d:\n%s%s", code, stdout, stderr)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v", info, err)
			}
			files := unpacked(t, path)
			for file, text := range files {
				for _, planted := range append(leaks, "planted") {
					if at := strings.Index(strings.ToLower(text), strings.ToLower(planted)); at >= 0 {
						t.Errorf("%s holds %q: %s", file, planted, text[max(0, at-60):min(len(text), at+60)])
					}
				}
			}
			want := []string{"doctor.txt", "doctor.json", "version.json", "classes/web.yaml", "configuration.yaml"}
			if name == "cluster" {
				want = []string{"doctor.txt", "doctor.json", "version.json", "cluster.json", "drivers.json", "events.json", "podstatuses.json", "classes/shop/web.yaml",
					"releases/lanyard-lanyard/configuration.yaml", "releases/lanyard-lanyard/pods.json", "releases/lanyard-lanyard/logs/lanyard-a-lanyard.log", "releases/lanyard-lanyard/metrics/lanyard-b.txt"}
				for file, stays := range map[string]string{
					"releases/lanyard-lanyard/logs/lanyard-a-lanyard.log": "Mount failed pod=shop/web-0", "classes/shop/web.yaml": "key: secret/data/shop/db",
					"releases/lanyard-lanyard/configuration.yaml": "https://vault.example.com", "podstatuses.json": "aVeryLongVersion0123456789aVeryLongVersion",
					"releases/lanyard-lanyard/pods.json": "--config=/etc/lanyard/config/lanyard.yaml",
				} {
					if !strings.Contains(files[file], stays) {
						t.Errorf("%s has lost %q:\n%s", file, stays, files[file])
					}
				}
			}
			for _, file := range want {
				if files[file] == "" {
					t.Errorf("%s is missing in %v", file, slices.Sorted(maps.Keys(files)))
				}
			}
		})
	}
	if a.values {
		t.Error("a Secret was read with its values")
	}
}

func unpacked(t *testing.T, path string) map[string]string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	packed, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	archive := tar.NewReader(packed)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(header.Name, "lanyard-support/")] = string(text)
	}
}
