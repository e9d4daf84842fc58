package cmd

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// retirementServer is an API server with two Secrets, which it reads with a key
// ID, or the first of them with another while old is set; and a kubeconfig for
// it.
func retirementServer(t *testing.T, keyID string, old *atomic.Bool) (kubeconfig string) {
	t.Helper()
	return retirementServerBeside(t, "", keyID, old)
}

// retirementServerBeside is the same, but if under is not empty it reads the
// second Secret with a key of the provider with that name.
func retirementServerBeside(t *testing.T, under, keyID string, old *atomic.Bool) (kubeconfig string) {
	t.Helper()
	var withNew, withOld, withCloud atomic.Int64
	hash := func(id string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(id))) }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		const item = `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"namespace":"prod","name":"%s","uid":"u","resourceVersion":"1"}}`
		switch {
		case r.URL.Path == "/api":
			fmt.Fprint(w, `{"kind":"APIVersions","versions":["v1"]}`)
		case r.URL.Path == "/apis":
			fmt.Fprint(w, `{"kind":"APIGroupList","groups":[]}`)
		case r.URL.Path == "/api/v1":
			fmt.Fprint(w, `{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"secrets","kind":"Secret","namespaced":true,"verbs":["list","patch"]}]}`)
		case r.URL.Path == "/metrics":
			fmt.Fprintf(w, "apiserver_storage_transformation_operations_total{resource=\"secrets\",status=\"OK\",transformation_type=\"from_storage\",transformer_prefix=\"k8s:enc:kms:v2:lanyard:\"} %d\n", withNew.Load()+withOld.Load())
			fmt.Fprintf(w, "apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds{key_id_hash=%q,provider_name=\"lanyard\"} 1e9\n", hash(keyID))
			fmt.Fprintf(w, "apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds{key_id_hash=%q,provider_name=\"cloud\"} 1e9\n", hash("cloud key"))
			fmt.Fprintf(w, "apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds{key_id_hash=%q,provider_name=\"again\"} 1e9\n", hash(keyID))
			fmt.Fprintf(w, "apiserver_envelope_encryption_key_id_hash_total{key_id_hash=%q,provider_name=%q,transformation_type=\"from_storage\"} %d\n", hash("cloud key"), under, withCloud.Load())
			fmt.Fprintf(w, "apiserver_storage_transformation_operations_total{resource=\"secrets\",status=\"OK\",transformation_type=\"from_storage\",transformer_prefix=\"k8s:enc:kms:v2:%s:\"} %d\n", under, withCloud.Load())
			for id, n := range map[string]int64{keyID: withNew.Load(), "old": withOld.Load()} {
				fmt.Fprintf(w, "apiserver_envelope_encryption_key_id_hash_total{key_id_hash=%q,provider_name=\"lanyard\",transformation_type=\"from_storage\"} %d\n", hash(id), n)
			}
		case r.URL.Query().Has("limit"):
			fmt.Fprintf(w, `{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":{},"items":[%s,%s]}`, fmt.Sprintf(item, "a"), fmt.Sprintf(item, "b"))
		case r.Method != http.MethodGet:
			t.Errorf("%s %s", r.Method, r.URL)
		default:
			switch {
			case strings.HasSuffix(r.URL.Path, "/a") && old.Load():
				withOld.Add(1)
			case strings.HasSuffix(r.URL.Path, "/b") && under != "":
				withCloud.Add(1)
			default:
				withNew.Add(1)
			}
			fmt.Fprintf(w, item, filepath.Base(r.URL.Path))
		}
	}))
	t.Cleanup(server.Close)
	return kubeconfigFor(t, server.URL)
}

func TestKMSRetireRefusesWhileSomethingNeedsTheKey(t *testing.T) {
	directory := socketDirectory(t)
	ring := ringOf(t, directory, "new", "write", "old", "read")
	s := serveKMS(t, directory, ring)
	s.eventually("key ID", func() bool { return s.keyID() != "" })
	var old atomic.Bool
	old.Store(true)
	kubeconfig := retirementServer(t, s.keyID(), &old)
	other := retirementServer(t, "another", &old)
	call := func(kubeconfig string, more ...string) (code int, stdout, stderr string) {
		return runLanyard(append([]string{"kms", "retire", "old", "--ring", ring, "--resources", "secrets", "--socket", filepath.Join(directory, "kms.sock"), "--kubeconfig", kubeconfig}, more...)...)
	}
	holds := func(want string) {
		t.Helper()
		if text, err := os.ReadFile(ring); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("the ring is %s (%v), want %s in it", text, err, want)
		}
	}
	code, stdout, stderr := call(kubeconfig)
	if code != exitFailed || !strings.Contains(stdout, "secrets   2        1          1 ") || !strings.Contains(stderr, "key old is not retired: 1 object is still encrypted under an older key") {
		t.Errorf("early: %d\n%s%s", code, stdout, stderr)
	}
	if code, _, stderr := call(other); code != exitFailed || !strings.Contains(stderr, "writes with another key than the plugin") {
		t.Errorf("an API server that is not in step: %d %s", code, stderr)
	}
	if code, _, stderr := call(kubeconfig, "--name", "other"); code != exitFailed || !strings.Contains(stderr, "has no KMS v2 provider named other") {
		t.Errorf("another provider: %d %s", code, stderr)
	}
	if code, _, stderr := call(kubeconfig, "--socket", filepath.Join(directory, "none")); code != exitFailed || !strings.Contains(stderr, "no healthy plugin at") {
		t.Errorf("no plugin: %d %s", code, stderr)
	}
	holds("{name: old, state: read,")
	old.Store(false)
	if code, stdout, stderr := call(kubeconfig, "--dry-run", "--output", "json"); code != exitOK || !strings.Contains(stdout, `"needing": 0`) || !strings.Contains(stderr, "it can be retired") {
		t.Errorf("dry run: %d\n%s%s", code, stdout, stderr)
	}
	holds("{name: old, state: read,")
	if code, stdout, stderr := call(kubeconfig); code != exitOK || !strings.Contains(stderr, "key old is retired in "+ring) {
		t.Errorf("at last: %d\n%s%s", code, stdout, stderr)
	}
	holds("{name: old, state: retired,")
}

func TestKMSRetireNeedsNoFilesOfTheKeys(t *testing.T) {
	directory := socketDirectory(t)
	s := serveKMS(t, directory, ringOf(t, directory, "new", "write"))
	s.eventually("key ID", func() bool { return s.keyID() != "" })
	ring := filepath.Join(directory, "another.yaml")
	text, err := os.ReadFile(filepath.Join(directory, "ring.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, "- {name: old, state: read, service: {type: vault, key: k, address: https://vault.example, tls: {caCertFile: /nonexistent/ca.pem}, auth: {method: tokenFile, tokenFile: /nonexistent/token}}}\n"...)
	if err := os.WriteFile(ring, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadRing(ring); err == nil {
		t.Fatal("the certificate is not needed by the plugin either")
	}
	var none atomic.Bool
	args := []string{"--ring", ring, "--socket", filepath.Join(directory, "kms.sock"), "--resources", "secrets"}
	code, _, stderr := runLanyard(append([]string{"kms", "migrate", "--kubeconfig", migrationServer(t)}, args...)...)
	if strings.Contains(stderr, "nonexistent") {
		t.Errorf("migrate: %d %s", code, stderr)
	}
	if code, _, stderr := runLanyard(append([]string{"kms", "retire", "old", "--kubeconfig", retirementServer(t, s.keyID(), &none)}, args...)...); code != exitOK || !strings.Contains(stderr, "key old is retired") {
		t.Errorf("retire: %d %s", code, stderr)
	}
}

func TestKMSRetireCountsNoKeysOfAnotherPlugin(t *testing.T) {
	directory := socketDirectory(t)
	ring := ringOf(t, directory, "new", "write", "old", "read")
	s := serveKMS(t, directory, ring)
	s.eventually("key ID", func() bool { return s.keyID() != "" })
	socket := filepath.Join(directory, "kms.sock")
	encryption := filepath.Join(directory, "encryption.yaml")
	if err := os.WriteFile(encryption, []byte(`kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - kms: {apiVersion: v2, name: lanyard, endpoint: "unix:///var/run/kms.sock"}
  - kms: {apiVersion: v2, name: before, endpoint: "unix:////run/kms.sock"}
  - kms: {apiVersion: v2, name: again, endpoint: "unix:///mnt/run/kms.sock"}
  - kms: {apiVersion: v2, name: cloud, endpoint: "unix:///run/cloud.sock"}
  - identity: {}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, under string
		args        []string
		code        int
		want        string
	}{
		{"another plugin's key", "cloud", []string{"--encryption-config", encryption}, exitOK, "it can be retired"},
		{"the other plugin is not known", "cloud", []string{"--resources", "secrets"}, exitFailed, "1 object is still encrypted under an older key (read by provider cloud too; if that is another plugin's, give --encryption-config"},
		{"the same socket under another name", "before", []string{"--encryption-config", encryption}, exitFailed, "(read by provider before too)"},
		{"another path to the plugin", "again", []string{"--encryption-config", encryption}, exitFailed, "(read by provider again too)"},
		{"a provider that the file has not got", "gone", []string{"--encryption-config", encryption}, exitFailed, "(read by provider gone too)"},
		{"a wrong name", "cloud", []string{"--encryption-config", encryption, "--name", "lanyrd"}, exitUsage, "has no KMS v2 provider named lanyrd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var none atomic.Bool
			kubeconfig := retirementServerBeside(t, c.under, s.keyID(), &none)
			code, stdout, stderr := runLanyard(append([]string{"kms", "retire", "old", "--dry-run", "--ring", ring, "--socket", socket, "--kubeconfig", kubeconfig}, c.args...)...)
			if code != c.code || !strings.Contains(stderr, c.want) {
				t.Errorf("%d\n%s%s", code, stdout, stderr)
			}
		})
	}
}

func TestKMSRetireRefusesWhileTheNewKeyIsNotWrittenWith(t *testing.T) {
	for name, c := range map[string]struct {
		settle, next  string
		before, after []string
	}{
		"it settles": {"1h", "new", []string{"old", "write"}, []string{"old", "read", "new", "write"}},
		"it fails":   {"0s", "absent", []string{"old", "write", "absent", "read"}, []string{"old", "read", "absent", "write"}},
	} {
		t.Run(name, func(t *testing.T) {
			directory := socketDirectory(t)
			ringWith := func(pairs []string) string {
				path := ringOf(t, directory, pairs...)
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(strings.Replace(string(text), "settle: 0s", "settle: "+c.settle, 1)), 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			}
			s := serveKMS(t, directory, ringWith(c.before))
			s.eventually("key ID", func() bool { return s.keyID() != "" })
			var none atomic.Bool
			kubeconfig := retirementServer(t, s.keyID(), &none)
			ring := ringWith(c.after)
			s.eventually("word of the new ring", func() bool { return strings.Contains(s.log.String(), "holds from now on") })
			socket := filepath.Join(directory, "kms.sock")
			want := "the plugin at " + socket + " writes with key old, and not yet with " + c.next + ", the write key of " + ring
			code, _, stderr := runLanyard("kms", "retire", "old", "--ring", ring, "--resources", "secrets", "--socket", socket, "--kubeconfig", kubeconfig)
			if code != exitFailed || !strings.Contains(stderr, "key old is not retired: "+want) {
				t.Errorf("%d %s", code, stderr)
			}
			if text, err := os.ReadFile(ring); err != nil || !strings.Contains(string(text), "{name: old, state: read,") {
				t.Errorf("the ring is %s (%v)", text, err)
			}
			if code, _, stderr := runLanyard("kms", "migrate", "--ring", ring, "--socket", socket, "--kubeconfig", migrationServer(t)); code != exitFailed || !strings.Contains(stderr, "nothing was rewritten: "+want) {
				t.Errorf("migrate: %d %s", code, stderr)
			}
		})
	}
}

func TestKMSRetireRefusesWrongFlagsAndKeys(t *testing.T) {
	ring := ringOf(t, t.TempDir(), "new", "write", "old", "retired")
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "takes one argument"},
		{[]string{"old"}, "--ring is missing"},
		{[]string{"old", "--ring", "/nonexistent", "--resources", "secrets"}, "/nonexistent: no such file"},
		{[]string{"old", "--ring", ring, "--output", "xml"}, "must be text or json"},
		{[]string{"old", "--ring", ring}, "give --encryption-config"},
		{[]string{"old", "--ring", ring, "--resources", "secrets", "--rate", "0"}, "--rate must be above 0"},
		{[]string{"old", "--ring", ring, "--resources", "secrets"}, "is retired; only a key with state read"},
		{[]string{"new", "--ring", ring, "--resources", "secrets"}, "is write; only a key with state read"},
		{[]string{"gone", "--ring", ring, "--resources", "secrets"}, "has no key named gone"},
	} {
		code, _, stderr := runLanyard(append([]string{"kms", "retire"}, c.args...)...)
		if code != exitUsage || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: exit code %d, %q; want %d and %q", c.args, code, stderr, exitUsage, c.want)
		}
	}
}
