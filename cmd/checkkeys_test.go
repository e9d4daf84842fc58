package cmd_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// sealedClass is a class with the sealed texts as objects o0, o1, ...
func (b *sealBench) sealedClass(name string, texts ...string) string {
	b.t.Helper()
	class := "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: web, namespace: prod}\nspec:\n  provider: lanyard\n  parameters:\n    objects: |\n"
	for i, text := range texts {
		class += fmt.Sprintf("      - {path: o%d, sealed: %s}\n", i, strings.TrimSpace(text))
	}
	return b.file(name, class)
}

// sealAs seals for an object and a service account of prod.
func (b *sealBench) sealAs(object, account string) string {
	b.t.Helper()
	return b.must("v", "seal", "--public", b.public, "-n", "prod", "--service-account", account, "--name", object)
}

func TestCheckTellsOfKeysThatNobodyHas(t *testing.T) {
	b, foreign := newSealBench(t), newSealBench(t)
	old := b.sealAs("o0", "web")
	first := writeKey(t, b.must("", "keygen", "--out", b.ring, "--export", "--public-out", b.public))
	b.must("", "keygen", "--out", b.ring, "--rotate", "--public-out", b.public)
	path := b.sealedClass("web.yaml", old, b.sealAs("o1", "web"), foreign.sealAs("o2", "web"))
	config := b.file("lanyard.yaml", "cluster: dev\nstores:\n  sealed: {type: sealed, keyRing: "+b.ring+"}\n")

	if code, stdout, _ := b.run("", "check", path); code != 0 {
		t.Errorf("without a key: %q", stdout)
	}
	code, stdout, _ := b.run("", "check", "--config", config, path)
	if code != 1 || strings.Count(stdout, "\n") != 1 || !strings.Contains(stdout, "(o2)") || !strings.Contains(stdout, "which the key ring does not have") {
		t.Errorf("a foreign key: exit code %d, %q", code, stdout)
	}
	b.must("", "keygen", "--out", b.ring, "--retire", first, "--yes")
	code, stdout, _ = b.run("", "check", "--config", config, path)
	if code != 1 || strings.Count(stdout, "\n") != 2 || !strings.Contains(stdout, "(o0)") || !strings.Contains(stdout, "which is retired") {
		t.Errorf("a retired key: exit code %d, %q", code, stdout)
	}
	code, stdout, _ = b.run("", "check", "--public", b.public, path)
	if code != 1 || strings.Count(stdout, "\n") != 2 || !strings.Contains(stdout, "sealed to key "+first) {
		t.Errorf("by the public key: exit code %d, %q", code, stdout)
	}
	if code, stdout, _ = b.run("", "check", "--public", b.public, "--public", foreign.public, path); code != 1 || strings.Count(stdout, "\n") != 1 {
		t.Errorf("by two public keys: exit code %d, %q", code, stdout)
	}
	b.refused(2, "--public: ", "", "check", "--public", filepath.Join(b.dir, "none"), path)
}

func TestCheckTellsOfValuesThatNoPodCanHaveTogether(t *testing.T) {
	b := newSealBench(t)
	path := b.sealedClass("web.yaml", b.sealAs("o0", "web"), b.sealAs("o1", "api"), b.sealAs("o2", "web"),
		b.must("v", "seal", "--public", b.public, "-n", "prod", "--any-service-account", "--name", "o3"))
	code, stdout, _ := b.run("", "check", path)
	if code != 1 || strings.Count(stdout, "\n") != 1 || !strings.Contains(stdout, `sealed for service account "api", and o0 for "web": no pod can have both`) {
		t.Errorf("exit code %d, %q", code, stdout)
	}
}
