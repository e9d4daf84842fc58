package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// repeated are the places that have to repeat a version of versions.env, because
// what reads them reads no other file. Each expression's first group is the version.
var repeated = map[string][]struct{ file, expression string }{
	"GO_TOOLCHAIN": {
		{"Dockerfile", `golang:([0-9.]+)-bookworm`},
	},
	"KUBERNETES_VERSION": {
		{"integration/kubernetes/go.mod", `k8s\.io/kubernetes (v\S+)`},
		{"integration/cluster/versions.go", `kubernetesVersion = "(v[^"]+)"`},
		{"integration/deployment/chart.go", `kubeVersion = "(v[^"]+)"`},
	},
	"NEWEST_KUBERNETES": {
		{"integration/kubernetes-newest/go.mod", `k8s\.io/kubernetes (v\S+)`},
		{"integration/cluster/versions.go", `newestKubernetes  = "(v[^"]+)"`},
	},
	"NEWEST_CONTAINERD": {{"integration/containerd/go.mod", `github\.com/containerd/containerd/v2 (v\S+)`}},
	"DRIVER_VERSION": {
		{"go.mod", `sigs\.k8s\.io/secrets-store-csi-driver (v\S+)`},
		{"integration/driver/go.mod", `sigs\.k8s\.io/secrets-store-csi-driver (v\S+)`},
		{"integration/conformance/conformance.go", `const Driver = "(v[^"]+)"`},
	},
	"VAULT_VERSION":      {{"integration/vault/go.mod", `github\.com/hashicorp/vault (v\S+)`}},
	"HELM_VERSION":       {{"integration/helm/go.mod", `helm\.sh/helm/v3 (v\S+)`}},
	"PROMETHEUS_VERSION": {{"integration/prometheus/go.mod", `github\.com/prometheus/prometheus (v\S+)`}},
}

func TestVersionsAreTheSameEverywhere(t *testing.T) {
	pinned := versions(t)
	for name, places := range repeated {
		want := pinned[name]
		if want == "" {
			t.Errorf("versions.env has no %s", name)
		}
		for _, place := range places {
			found := regexp.MustCompile(place.expression).FindStringSubmatch(read(t, place.file))
			if found == nil {
				t.Errorf("%s has no version of %s; nothing matches %s", place.file, name, place.expression)
				continue
			}
			if got := found[1]; strings.TrimPrefix(want, "go") != strings.TrimPrefix(got, "go") {
				t.Errorf("%s has %s, and versions.env says %s=%s", place.file, got, name, want)
			}
		}
	}
}

func TestEveryModuleNamesTheToolchain(t *testing.T) {
	want := "\ntoolchain " + versions(t)["GO_TOOLCHAIN"] + "\n"
	for _, file := range modules(t) {
		if !strings.Contains(read(t, file), want) {
			t.Errorf("%s does not say %s", file, strings.TrimSpace(want))
		}
	}
}

// versions are the lines of versions.env by name.
func versions(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for line := range strings.Lines(read(t, "versions.env")) {
		name, version, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(name, "#") {
			found[name] = version
		}
	}
	return found
}

// modules are the go.mod files of the repository.
func modules(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"go.mod", "*/go.mod", "*/*/go.mod"} {
		matched, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, matched...)
	}
	if len(found) < 9 {
		t.Fatalf("found only the modules %q", found)
	}
	return found
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
