package cmd_test

import (
	"strings"
	"testing"
)

const emptyClass = "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: web, namespace: prod}\nspec:\n  provider: lanyard\n  parameters:\n    objects: |\n      - path: a\n        template: x\n"

func TestNothingIsMergedThatCheckRefuses(t *testing.T) {
	b := newSealBench(t)
	path := b.file("web.yaml", emptyClass)
	for name, want := range map[string]string{"../x": "--path", "/x": "--path", "a//b": "--path", "a/../b": "--path", "..data": "--path", strings.Repeat("a", 300): "--path"} {
		b.refused(2, want, "v", "seal", "--public", b.public, "--service-account", "web", "--merge-into", path, "--path", name)
		if b.read(path) != emptyClass {
			t.Fatalf("%q was written", name)
		}
	}
	b.must("v", "seal", "--public", b.public, "--service-account", "web", "--merge-into", path, "--path", "db/password")
	if code, stdout, stderr := b.run("", "check", path); code != 0 {
		t.Errorf("check refuses what was merged: %s%s", stdout, stderr)
	}
}

func TestAClassKeepsWithinWhatKubernetesTakes(t *testing.T) {
	t.Parallel()
	b := newSealBench(t)
	path := b.file("web.yaml", emptyClass)
	merge := func(object string, bytes int) (int, string) {
		code, _, stderr := b.run(strings.Repeat("x", bytes), "seal", "--public", b.public, "--service-account", "web", "--merge-into", path, "--path", object)
		return code, stderr
	}
	if code, stderr := merge("small", 1000); code != 0 || strings.Contains(stderr, "kubectl apply") {
		t.Errorf("a small one: exit code %d, %s", code, stderr)
	}
	if code, stderr := merge("large", 300<<10); code != 0 || !strings.Contains(stderr, "kubectl apply --server-side") {
		t.Errorf("a large one: exit code %d, %s", code, stderr)
	}
	if code, stdout, stderr := b.run("", "check", path); code != 0 || !strings.Contains(stdout, "web.yaml:6:3: warning: the class has ") || !strings.Contains(stdout, "kubectl apply --server-side") {
		t.Errorf("check: exit code %d, %.300s%s", code, stdout, stderr)
	}
	before := b.read(path)
	if code, stderr := merge("huge", 1<<20); code != 2 || !strings.Contains(stderr, "several classes") || b.read(path) != before {
		t.Errorf("a huge one: exit code %d, %s", code, stderr)
	}
}
