package cmd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"
	jsonyaml "sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/provider/manifest"
	"github.com/lanyardhq/lanyard/provider/migration"
)

// TestMigratePlan shows what people read of installations of each provider: the default
// one, with flags and environment changed, several at once, and broken ones.
func TestMigratePlan(t *testing.T) { commandGoldens(t, "testdata/migrate", "several.yaml") }

// recordingServer is an API server that holds the objects of a file, lists them one at a
// time, and records what it is asked.
type recordingServer struct {
	kubeconfig string
	forbidden  []string // resources that may not be listed

	mu    sync.Mutex
	calls []string
}

// objectsOf are the objects in a file, in their order.
func objectsOf(t testing.TB, file string) (objects []map[string]any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	documents, err := manifest.Documents(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range manifest.Objects(documents) {
		data, err := yaml.Marshal(object.Root)
		if err != nil {
			t.Fatal(err)
		}
		var content map[string]any
		if err := jsonyaml.Unmarshal(data, &content); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, content)
	}
	return objects
}

func newRecordingServer(t *testing.T, file string) *recordingServer {
	t.Helper()
	objects := map[string][]map[string]any{}
	for _, object := range objectsOf(t, file) {
		resource := strings.ToLower(fmt.Sprint(object["kind"])) + "s"
		if object["kind"] == manifest.Kind {
			resource = "secretproviderclasses"
		}
		objects[resource] = append(objects[resource], object)
	}
	s := &recordingServer{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.calls = append(s.calls, r.Method+" "+r.URL.Path)
		resource := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		w.Header().Set("Content-Type", "application/json")
		if slices.Contains(s.forbidden, resource) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"%s is forbidden"}`, resource)
			return
		}
		place := 0
		fmt.Sscan(r.URL.Query().Get("continue"), &place)
		list := map[string]any{"kind": "List", "apiVersion": "v1", "metadata": map[string]any{}, "items": []any{}}
		if items := objects[resource]; place < len(items) {
			list["items"] = items[place : place+1]
			if place+1 < len(items) {
				list["metadata"] = map[string]any{"continue": fmt.Sprint(place + 1), "remainingItemCount": len(items) - place - 1}
			}
		}
		if err := json.NewEncoder(w).Encode(list); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	s.kubeconfig = kubeconfigFor(t, server.URL)
	return s
}

// A cluster gives the plan that files with its objects give, by listing alone, and with
// just the rights that docs/install.md names.
func TestMigratePlanOnlyListsInACluster(t *testing.T) {
	files, err := filepath.Glob("testdata/migrate/*-default.yaml")
	if err != nil || len(files) != len(migration.Originals()) {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range append(files, "testdata/migrate/several.yaml") {
		server := newRecordingServer(t, file)
		wantCode, want, _ := runLanyard("migrate", "plan", "--file", file)
		code, got, stderr := runLanyard("migrate", "plan", "--kubeconfig", server.kubeconfig)
		if got != want || code != wantCode {
			t.Errorf("%s: a cluster gives (%d)\n%s%s\nthe file (%d)\n%s", file, code, got, stderr, wantCode, want)
		}
		listed := map[string]bool{}
		for _, call := range server.calls {
			listed[call] = true
		}
		lists := map[string]bool{}
		for _, resource := range readResources {
			path := "/apis/" + resource.Group
			if resource.Group == "" {
				path = "/api"
			}
			lists["GET "+path+"/"+resource.Version+"/"+resource.Resource] = true
		}
		if !reflect.DeepEqual(listed, lists) {
			t.Errorf("%s: the API server was asked %v, want %v", file, listed, lists)
		}
	}
}

func TestTheRoleOfMigratePlanIsWhatItNeeds(t *testing.T) {
	page := pages(t)["docs/install.md"]
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(page, -1) {
		var role struct {
			Kind     string
			Metadata struct{ Name string }
			Rules    []struct {
				APIGroups, Resources, Verbs []string
			}
		}
		if err := jsonyaml.Unmarshal([]byte(block[1]), &role); err != nil || role.Kind != "ClusterRole" {
			continue
		}
		var allowed, needed []string
		for _, rule := range role.Rules {
			for _, resource := range rule.Resources {
				allowed = append(allowed, strings.Join(rule.Verbs, ",")+" "+strings.Join(rule.APIGroups, ",")+"/"+resource)
			}
		}
		for _, resource := range readResources {
			needed = append(needed, "list "+resource.Group+"/"+resource.Resource)
		}
		slices.Sort(allowed)
		slices.Sort(needed)
		if !slices.Equal(allowed, needed) {
			t.Errorf("the role allows %v, and the command needs %v", allowed, needed)
		}
		return
	}
	t.Error("docs/install.md has no ClusterRole")
}

// Everything that may not be listed is told at once.
func TestMigratePlanTellsAllThatItMayNotRead(t *testing.T) {
	server := newRecordingServer(t, "testdata/migrate/vault-default.yaml")
	server.forbidden = []string{"pods", "csidrivers"}
	code, stdout, stderr := runLanyard("migrate", "plan", "--kubeconfig", server.kubeconfig)
	if code != exitFailed || stdout != "" || !strings.Contains(stderr, "csidrivers.storage.k8s.io cannot be listed") || !strings.Contains(stderr, "pods cannot be listed") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
}

// What kubectl get prints is a list, in YAML or JSON, here on standard input.
func TestMigratePlanReadsAList(t *testing.T) {
	const file = "testdata/migrate/aws-default.yaml"
	_, want, _ := runLanyard("migrate", "plan", "--file", file)
	list, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": objectsOf(t, file)})
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if code := Execute([]string{"migrate", "plan", "--file", "-"}, bytes.NewReader(list), &stdout, &stderr); code != exitOK || stdout.String() != want {
		t.Errorf("exit %d\n%s%s\nwant\n%s", code, &stdout, &stderr, want)
	}
}

// The forms for programs say the same, and the values in them are the values alone.
func TestMigratePlanForPrograms(t *testing.T) {
	const file = "testdata/migrate/several.yaml"
	_, values, _ := runLanyard("migrate", "plan", "--file", file, "--values-only")
	var fromJSON, fromYAML migration.Plan
	_, text, _ := runLanyard("migrate", "plan", "--file", file, "--output", "json")
	if err := json.Unmarshal([]byte(text), &fromJSON); err != nil {
		t.Fatal(err)
	}
	_, text, _ = runLanyard("migrate", "plan", "--file", file, "-o", "yaml")
	if err := jsonyaml.Unmarshal([]byte(text), &fromYAML); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(fromJSON, fromYAML) || fromJSON.Values != values || len(fromJSON.Installed) != 4 || len(fromJSON.Settings) < 8 || len(fromJSON.Steps) < 5 {
		t.Errorf("JSON has\n%+v\nYAML\n%+v\nthe values alone are\n%s", fromJSON, fromYAML, values)
	}
}

func TestMigratePlanReplacesNoFileUnasked(t *testing.T) {
	out := filepath.Join(t.TempDir(), "values.yaml")
	plan := func(more ...string) (int, string) {
		code, _, stderr := runLanyard(append([]string{"migrate", "plan", "--file", "testdata/migrate/aws-default.yaml", "--values-only", "--out", out}, more...)...)
		return code, stderr
	}
	if code, stderr := plan(); code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	want, err := os.ReadFile(out)
	if err != nil || !strings.Contains(string(want), "dialects: [lanyard, aws]") {
		t.Fatalf("%s: %v", want, err)
	}
	if code, stderr := plan(); code != exitOK {
		t.Errorf("the same again: exit %d: %s", code, stderr)
	}
	if err := os.WriteFile(out, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stderr := plan(); code != exitUsage || !strings.Contains(stderr, "--yes") {
		t.Errorf("another file: exit %d: %s", code, stderr)
	}
	if kept, err := os.ReadFile(out); err != nil || string(kept) != "mine" {
		t.Errorf("the file holds %q, %v", kept, err)
	}
	if code, stderr := plan("--yes"); code != exitOK {
		t.Errorf("with --yes: exit %d: %s", code, stderr)
	}
	if now, err := os.ReadFile(out); err != nil || string(now) != string(want) {
		t.Errorf("the file holds\n%s, %v", now, err)
	}
}

func TestMigratePlanRefusesFlagsThatContradictEachOther(t *testing.T) {
	const file = "testdata/migrate/aws-default.yaml"
	for _, args := range [][]string{
		{"--file", file, "--kubeconfig", "k"}, {"--file", file, "--context", "c"}, {"--file", file, "--out", "v.yaml"},
		{"--file", file, "--values-only", "--output", "json"}, {file}, {"--file", "nosuch.yaml"}, {"--kubeconfig", "nosuch"}, {"--output", "xml"},
	} {
		if code, stdout, stderr := runLanyard(append([]string{"migrate", "plan"}, args...)...); code != exitUsage || stdout != "" {
			t.Errorf("%v: exit %d\n%s%s", args, code, stdout, stderr)
		}
	}
	if code, _, stderr := runLanyard("migrate", "plam"); code != exitUsage || !strings.Contains(stderr, `there is no command "plam"`) {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// What may be secret in flags and variables is in no form of the plan.
func TestMigratePlanShowsNoSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "provider.yaml")
	text := `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: vault-csi-provider, namespace: vault}
spec:
  template:
    spec:
      containers:
        - image: hashicorp/vault-csi-provider:1.7.4
          args: [-endpoint=/provider/vault.sock, -made-up=hunter2]
          env:
            - {name: VAULT_TOKEN, value: hunter2}
            - {name: VAULT_HEADERS, value: '{"X-Token": ["hunter2"]}'}
            - {name: HTTPS_PROXY, value: 'http://user:hunter2@proxy:3128'}
            - {name: HTTP_PROXY, value: 'ftp://user:hunter2@proxy:3128'}
            - {name: VAULT_ADDR, value: 'https://user:hunter2@vault:8200'}
            - {name: MADE_UP, value: hunter2}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"text", "json", "yaml"} {
		_, stdout, stderr := runLanyard("migrate", "plan", "--file", file, "--output", form)
		if !strings.Contains(stdout, "vault-csi-provider") || strings.Contains(stdout+stderr, "hunter2") {
			t.Errorf("%s prints\n%s%s", form, stdout, stderr)
		}
	}
}
