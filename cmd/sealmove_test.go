package cmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// move runs seal move with the bench's keys.
func (b *sealBench) move(args ...string) []string {
	return append([]string{"seal", "move", "--key-ring", b.ring, "--public", b.public}, args...)
}

// class is a file with a class of two sealed values, and comments.
func (b *sealBench) class(name, first, second string) string {
	return b.file(name, "# by hand\nkind: SecretProviderClass\nmetadata: {name: web, namespace: prod}\nspec:\n  provider: lanyard\n  parameters:\n    objects: |\n      - path: db/password # ours\n        sealed: "+strings.TrimSpace(first)+"\n      - path: other\n        sealed: "+strings.TrimSpace(second)+"\n")
}

// unsealed opens a text of a class's file, by its place, as the workload.
func (b *sealBench) unsealed(path string, place int, as ...string) (code int, value string) {
	b.t.Helper()
	text := strings.Fields(strings.Split(b.read(path), "sealed: ")[place])[0]
	code, stdout, _ := b.run(text, append([]string{"unseal", "--key-ring", b.ring}, as...)...)
	return code, stdout
}

func TestValuesMoveToAnotherWorkload(t *testing.T) {
	b := newSealBench(t)
	path := b.class("web.yaml", b.seal("one"), b.must("two", "seal", "--public", b.public, "-n", "prod", "--any-service-account", "--name", "other"))
	before := b.read(path)
	b.refused(2, "give --yes", "", b.move("-n", "shop", path)...)
	if got := b.must("", b.move("-n", "shop", "--dry-run", path)...); !strings.Contains(got, "2 values to be moved") || b.read(path) != before {
		t.Errorf("the dry run printed %q", got)
	}
	b.must("", b.move("-n", "shop", "--service-account", "api", "--yes", path)...)
	if code, value := b.unsealed(path, 1, "-n", "shop", "--service-account", "api", "--name", "db/password"); code != 0 || value != "one" {
		t.Errorf("exit code %d, %q", code, value)
	}
	if code, _ := b.unsealed(path, 1, "-n", "prod", "--service-account", "web", "--name", "db/password"); code == 0 {
		t.Error("the value opens where it was before")
	}
	if code, value := b.unsealed(path, 2, "-n", "shop", "--service-account", "anybody", "--name", "other"); code != 0 || value != "two" {
		t.Errorf("what was for any service account: exit code %d, %q", code, value)
	}
	if got := b.read(path); !strings.HasPrefix(got, "# by hand\n") || !strings.Contains(got, "db/password # ours\n") {
		t.Errorf("comments are lost: %s", got)
	}
}

func TestMoveTellsOfPartsThatStayAny(t *testing.T) {
	b := newSealBench(t)
	anywhere := b.must("v", "seal", "--public", b.public, "--any-cluster", "--any-namespace", "--any-service-account", "--any-name")
	for name, c := range map[string]struct {
		flags []string
		want  string
	}{
		"namespace":                     {[]string{"-n", "shop"}, "is sealed for any namespace and stays so; lanyard reseal --namespace makes that exact"},
		"service account and namespace": {[]string{"-n", "shop", "--service-account", "api"}, "any namespace and any service account and stays so; lanyard reseal --namespace --service-account makes"},
		"cluster":                       {[]string{"--cluster", "dev"}, "any cluster and"},
		"object":                        {[]string{"--object-names"}, "any object and stays so; lanyard reseal --exact-names"},
	} {
		for _, dry := range []string{"--yes", "--dry-run"} {
			t.Run(name+dry, func(t *testing.T) {
				path := b.class("web.yaml", b.seal("one"), anywhere)
				code, stdout, stderr := b.run("", b.move(append(c.flags, dry, path)...)...)
				if code != 0 || strings.Contains(stdout, "note:") || strings.Count(stderr, "note: ") != 1 || !strings.Contains(stderr, "web.yaml:11: object other: note: ") || !strings.Contains(stderr, c.want) {
					t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
				}
				if code, stdout, _ := b.run("", b.move(append(c.flags, dry, "-o", "json", path)...)...); code != 0 || strings.Count(stdout, `"note"`) != 1 {
					t.Errorf("as JSON: exit code %d, %s", code, stdout)
				}
			})
		}
	}
	path := b.file("other.yaml", "a: "+b.must("v", "seal", "--public", b.public, "-n", "prod", "--any-service-account", "--name", "a"))
	if _, _, stderr := b.run("", b.move("-n", "shop", "--yes", path)...); strings.Contains(stderr, "note:") {
		t.Errorf("of a part that is not moved: %s", stderr)
	}
}

func TestValuesMoveToAnotherClusterAndNeverByReseal(t *testing.T) {
	b := newSealBench(t)
	ring, public := filepath.Join(b.dir, "prod-ring.yaml"), filepath.Join(b.dir, "prod.yaml")
	b.must("", "keygen", "--out", ring, "--cluster", "prod", "--public-out", public)
	path := b.file("web.yaml", "a: "+b.seal("v"))
	before := b.read(path)
	code, stdout, _ := b.run("", "reseal", "--key-ring", b.ring, "--public", public, path)
	if code != 1 || !strings.Contains(stdout, `sealed for cluster "dev" with the key of cluster "prod"`) || !strings.Contains(stdout, "seal move --cluster") || b.read(path) != before {
		t.Errorf("reseal: exit code %d, %q", code, stdout)
	}
	// Nor to a cluster whose key is another's.
	code, stdout, _ = b.run("", b.move("--cluster", "prod", "--yes", path)...)
	if code != 1 || !strings.Contains(stdout, `sealed for cluster "prod" with the key of cluster "dev"`) || b.read(path) != before {
		t.Errorf("to the wrong key: exit code %d, %q", code, stdout)
	}
	b.must("", "seal", "move", "--key-ring", b.ring, "--public", public, "--cluster", "prod", "--yes", path)
	_, text, _ := strings.Cut(b.read(path), "a: ")
	if got := b.must("", "unseal", "--key-ring", ring, "--cluster", "prod", "-n", "prod", "--service-account", "web", "--name", "db/password", strings.TrimSpace(text)); got != "v" {
		t.Errorf("unsealed %q", got)
	}
}

func TestAFileMovesWholeOrNotAtAll(t *testing.T) {
	b := newSealBench(t)
	foreign := newSealBench(t)
	half, whole := b.class("half.yaml", b.seal("v"), foreign.seal("v")), b.class("whole.yaml", b.seal("v"), b.seal("w"))
	before := b.read(half)
	code, stdout, _ := b.run("", b.move("-n", "shop", "--yes", half, whole)...)
	if code != 1 || !strings.Contains(stdout, half+":11: object other: unknown key") || !strings.Contains(stdout, half+":9: object db/password: not written") || b.read(half) != before {
		t.Errorf("exit code %d, %q", code, stdout)
	}
	if code, value := b.unsealed(whole, 1, "-n", "shop", "--service-account", "web", "--name", "db/password"); code != 0 || value != "v" {
		t.Errorf("the other file: exit code %d, %q", code, value)
	}
}

func TestValuesFollowTheirObjects(t *testing.T) {
	b := newSealBench(t)
	path := b.class("web.yaml", b.seal("v"), b.seal("w")) // both for db/password
	b.must("", b.move("--object-names", "--yes", path)...)
	if code, value := b.unsealed(path, 2, "-n", "prod", "--service-account", "web", "--name", "other"); code != 0 || value != "w" {
		t.Errorf("exit code %d, %q", code, value)
	}
	plain := b.file("values.yaml", "a: "+b.seal("v"))
	if code, stdout, _ := b.run("", b.move("--object-names", "--yes", plain)...); code != 1 || !strings.Contains(stdout, "which is no class") {
		t.Errorf("outside of a class: exit code %d, %q", code, stdout)
	}
}

func TestNamesOfOthersAreEscaped(t *testing.T) {
	b := newSealBench(t)
	path := b.file("\x1b]0;evil\x07.yaml", "a: lanyard.v1.xx\n")
	_, stdout, stderr := b.run("", b.move("-n", "shop", "--yes", path)...)
	if strings.ContainsAny(stdout+stderr, "\x1b\x07") || !strings.Contains(stdout, ".yaml:1: malformed") {
		t.Errorf("%q, %q", stdout, stderr)
	}
}

func TestMoveRefuses(t *testing.T) {
	b := newSealBench(t)
	path := b.file("web.yaml", "a: "+b.seal("v"))
	b.refused(2, "nothing says where to", "", b.move("--yes", path)...)
	b.refused(2, "no file or directory", "", b.move("-n", "shop", "--yes")...)
	if code, stdout, _ := b.run("", b.move("-n", "No_Name", "--yes", path)...); code != 1 || !strings.Contains(stdout, "namespace") {
		t.Errorf("a wrong name: exit code %d, %q", code, stdout)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}
