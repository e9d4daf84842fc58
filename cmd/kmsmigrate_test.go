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

	"k8s.io/client-go/tools/clientcmd"

	"github.com/lanyardhq/lanyard/server/kms/migrate"
)

// migrationServer is an API server with two Secrets, one of them stale, and a
// kubeconfig for it.
func migrationServer(t *testing.T) (kubeconfig string) {
	t.Helper()
	const (
		item     = `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"namespace":"prod","name":"%s","uid":"u","resourceVersion":"%s"}}`
		resource = `{"name":"secrets","kind":"Secret","namespaced":true,"verbs":["list","patch"]}`
	)
	stale := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/api":
			fmt.Fprint(w, `{"kind":"APIVersions","versions":["v1"]}`)
		case r.URL.Path == "/apis":
			fmt.Fprint(w, `{"kind":"APIGroupList","groups":[]}`)
		case r.URL.Path == "/api/v1":
			fmt.Fprintf(w, `{"kind":"APIResourceList","groupVersion":"v1","resources":[%s]}`, resource)
		case r.Method == http.MethodGet:
			fmt.Fprintf(w, `{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":{},"items":[%s,%s]}`, fmt.Sprintf(item, "a", "1"), fmt.Sprintf(item, "b", "2"))
		case strings.HasSuffix(r.URL.Path, "/a") && stale:
			stale = false
			fmt.Fprintf(w, item, "a", "3")
		case strings.HasSuffix(r.URL.Path, "/a"):
			fmt.Fprintf(w, item, "a", "1")
		default:
			fmt.Fprintf(w, item, "b", "2")
		}
	}))
	t.Cleanup(server.Close)
	return kubeconfigFor(t, server.URL)
}

// kubeconfigFor is a kubeconfig for an API server that asks nobody who he is.
func kubeconfigFor(t testing.TB, url string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: %q}}]\nusers: [{name: u, user: {}}]\n", url)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestKMSMigrateRewritesWhatIsStale(t *testing.T) {
	kubeconfig := migrationServer(t)
	encryption := filepath.Join(t.TempDir(), "encryption.yaml")
	if err := os.WriteFile(encryption, []byte("kind: EncryptionConfiguration\nresources: [{resources: [secrets], providers: [{identity: {}}]}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	checkpoint := filepath.Join(t.TempDir(), "c.json")
	call := func(more ...string) (code int, stdout, stderr string) {
		return runLanyard(append([]string{"kms", "migrate", "--kubeconfig", kubeconfig, "--encryption-config", encryption, "--checkpoint", checkpoint}, more...)...)
	}
	if code, stdout, stderr := call("--dry-run"); code != exitOK || !strings.Contains(stdout, "secrets   2        0          0        0        0     2        0") || !strings.Contains(stderr, "nothing was rewritten") {
		t.Errorf("dry run: %d\n%s%s", code, stdout, stderr)
	}
	if code, stdout, stderr := call(); code != exitOK || !strings.Contains(stdout, "secrets   2        1          1") || !strings.Contains(stderr, "1 object rewritten; run it once more") {
		t.Errorf("first run: %d\n%s%s", code, stdout, stderr)
	}
	if _, err := os.Stat(checkpoint); !os.IsNotExist(err) {
		t.Errorf("the checkpoint is left: %v", err)
	}
	code, stdout, stderr := call("--output", "json")
	var report migrate.Report
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != exitOK || report.Rewritten() != 0 || report.Resources[0].Current != 2 || !strings.Contains(stderr, "nothing was under another key") {
		t.Errorf("second run: %d %v\n%s%s", code, err, stdout, stderr)
	}
	if code, _, stderr := runLanyard("kms", "migrate", "--kubeconfig", kubeconfig, "--resources", "nosuch"); code != exitFailed || !strings.Contains(stderr, "nosuch: the API server serves no such resource") {
		t.Errorf("unknown resource: %d %s", code, stderr)
	}
}

// What the run before has done may be under a key that was written with then.
func TestKMSMigrateSaysThatARunThatWentOnProvesNothing(t *testing.T) {
	kubeconfig := migrationServer(t)
	loaded, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	checkpoint := filepath.Join(t.TempDir(), "c.json")
	text := fmt.Sprintf(`{"kind": "lanyard.kms-migration.v1", "server": %q, "resources": {"secrets": {"done": 2}}}`, loaded.Clusters["c"].Server)
	if err := os.WriteFile(checkpoint, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	call := func() (code int, stdout, stderr string) {
		return runLanyard("kms", "migrate", "--kubeconfig", kubeconfig, "--checkpoint", checkpoint)
	}
	if code, stdout, stderr := call(); code != exitOK || !strings.Contains(stdout, "secrets   2        0          0        0        0     2        0") || !strings.Contains(stderr, "0 objects rewritten; 2 objects the run before had done, and the write key may have changed since: run it once more") {
		t.Errorf("a run that went on: %d\n%s%s", code, stdout, stderr)
	}
	if code, _, stderr := call(); code != exitOK || !strings.Contains(stderr, "1 object rewritten; run it once more") {
		t.Errorf("the run after it: %d %s", code, stderr)
	}
}

func TestKMSMigrateRefusesWrongFlagsAndFiles(t *testing.T) {
	secretFile := filepath.Join(t.TempDir(), "other.yaml")
	if err := os.WriteFile(secretFile, []byte("kind: Other\nkey: hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty.yaml")
	if err := os.WriteFile(empty, []byte("kind: EncryptionConfiguration\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"more"}, "takes no arguments"},
		{[]string{"--resources", "a", "--encryption-config", empty}, "give one of them"},
		{[]string{"--rate", "0"}, "--rate must be above 0"},
		{[]string{"--workers", "0"}, "--workers must be from 1"},
		{[]string{"--page-size", "0"}, "--page-size must be from 1"},
		{[]string{"--output", "xml"}, "must be text or json"},
		{[]string{"--encryption-config", "/nonexistent"}, "/nonexistent: no such file"},
		{[]string{"--encryption-config", secretFile}, "is not an EncryptionConfiguration"},
		{[]string{"--encryption-config", empty}, "names no resources"},
		{[]string{"--kubeconfig", "/nonexistent"}, "name a kubeconfig with --kubeconfig"},
		{[]string{"--kubeconfig", migrationServer(t), "--checkpoint", empty}, "is not a checkpoint of a migration"},
	} {
		code, _, stderr := runLanyard(append([]string{"kms", "migrate"}, c.args...)...)
		if code != exitUsage || !strings.Contains(stderr, c.want) || strings.Contains(stderr, "hunter2") {
			t.Errorf("%v: exit code %d, %q; want %d and %q", c.args, code, stderr, exitUsage, c.want)
		}
	}
}
