package cmd_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// entries are the sealed texts by path, in what was printed or is in a file.
func (b *sealBench) entries(text string) map[string]string {
	found, path := map[string]string{}, ""
	for line := range strings.Lines(text) {
		if _, rest, ok := strings.Cut(line, "- path: "); ok {
			path = strings.TrimSpace(rest)
		}
		if _, rest, ok := strings.Cut(line, "sealed: "); ok {
			found[path] = strings.TrimSpace(rest)
		}
	}
	return found
}

// order is the paths in what was printed.
func order(text string) string {
	var paths []string
	for line := range strings.Lines(text) {
		if _, rest, ok := strings.Cut(line, "- path: "); ok {
			paths = append(paths, strings.TrimSpace(rest))
		}
	}
	return strings.Join(paths, " ")
}

func TestSealsAWholeFile(t *testing.T) {
	b := newSealBench(t)
	const secretFile = "apiVersion: v1\nkind: Secret\nmetadata: {name: web, namespace: prod}\ntype: kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: '{}'}\n"
	for name, c := range map[string]struct {
		flags  []string
		stdin  string
		order  string
		path   string
		value  string
		object string
	}{
		"a .env file":      {[]string{"-n", "prod", "--from-env", b.file(".env", "B=1\nexport A='x y'\n")}, "", "B A", "A", "x y", "A"},
		"a folder":         {[]string{"-n", "prod", "--path", "app/env", "--from-env", "-"}, "B=1\nA=2\n", "app/env/B app/env/A", "app/env/A", "2", "app/env/A"},
		"a JSON object":    {[]string{"-n", "prod", "--from-json", b.file("c.json", `{"db": {"password": "p"}, "num": 1}`)}, "", "db/password num", "db/password", "p", "db/password"},
		"a native Secret":  {[]string{"--from-secret", "-"}, secretFile, "config.json", "config.json", "{}", "config.json"},
		"for every object": {[]string{"-n", "prod", "--any-name", "--from-env", "-"}, "B=1\n", "B", "B", "1", "anything"},
	} {
		t.Run(name, func(t *testing.T) {
			b := b.in(t)
			printed := b.must(c.stdin, append([]string{"seal", "--public", b.public, "--service-account", "web"}, c.flags...)...)
			if got := order(printed); got != c.order {
				t.Errorf("order %q, want %q", got, c.order)
			}
			got := b.must(b.entries(printed)[c.path], "unseal", "--key-ring", b.ring, "-n", "prod", "--service-account", "web", "--name", c.object)
			if got != c.value {
				t.Errorf("unsealed %q, want %q", got, c.value)
			}
		})
	}
}

func TestSealMakesANewClass(t *testing.T) {
	b := newSealBench(t)
	made := b.must("A=1\nB=2\n", "seal", "--public", b.public, "-n", "prod", "--service-account", "web", "--from-env", "-", "-o", "class", "--class", "web")
	if !strings.HasPrefix(made, "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata:\n  name: web\n  namespace: prod\nspec:\n  provider: lanyard\n") || order(made) != "A B" {
		t.Errorf("printed\n%s", made)
	}
	b.must(made, "check", "-")
	one := b.must("v", append([]string{"seal", "--public", b.public, "-o", "class", "--class", "web"}, forWeb...)...)
	if order(one) != "db/password" {
		t.Errorf("printed\n%s", one)
	}
	// What is made can be merged into.
	path := b.file("made.yaml", made)
	b.must("B=3\nC=4\n", "seal", "--public", b.public, "--service-account", "web", "--from-env", "-", "--merge-into", path)
	if got := order(b.read(path)); got != "A B C" {
		t.Errorf("order %q", got)
	}
	if got := b.unseal(b.entries(b.read(path))["B"]); got != "3" {
		t.Errorf("unsealed %q", got)
	}
}

// A name that the class gives an object is what its value is sealed for.
func TestSealsAWholeFileForTheNamesInAClass(t *testing.T) {
	b := newSealBench(t)
	const before = "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: web, namespace: prod}\nspec:\n  provider: lanyard\n  parameters:\n    objects: |\n      - path: A   # one\n        name: first\n        sealed: lanyard.v1.OLD\n"
	path := b.file("web.yaml", before)
	b.must("A=1\n", "seal", "--public", b.public, "--service-account", "web", "--from-env", "-", "--merge-into", path)
	text := b.entries(b.read(path))["A   # one"]
	if got := b.must(text, "unseal", "--key-ring", b.ring, "-n", "prod", "--service-account", "web", "--name", "first"); got != "1" {
		t.Errorf("unsealed %q", got)
	}
	if strings.Replace(b.read(path), text, "lanyard.v1.OLD", 1) != before {
		t.Errorf("more than the value changed:\n%s", b.read(path))
	}
}

func TestSealsHundredsOfValuesAtOnce(t *testing.T) {
	t.Parallel()
	b := newSealBench(t)
	var env strings.Builder
	for i := range 900 {
		fmt.Fprintf(&env, "A%d=%d\n", i, i)
	}
	path := b.file("web.yaml", "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: web, namespace: prod}\nspec:\n  provider: lanyard\n")
	for range 2 {
		b.must(env.String(), "seal", "--public", b.public, "--service-account", "web", "--from-env", "-", "--merge-into", path)
	}
	entries := b.entries(b.read(path))
	if got := b.unseal(entries["A899"]); len(entries) != 900 || got != "899" {
		t.Errorf("%d entries, the last %q", len(entries), got)
	}
}

// Of several that merge into one file at once, none undoes another's change.
func TestSealsThatMergeAtOnceLoseNothing(t *testing.T) {
	b := newSealBench(t)
	path := b.file("web.yaml", "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: web, namespace: prod}\nspec:\n  provider: lanyard\n")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if code, _, stderr := b.run("v", "seal", "--public", b.public, "--service-account", "web", "--merge-into", path, "--path", fmt.Sprintf("p%d", i)); code != 0 {
				t.Errorf("exit code %d: %s", code, stderr)
			}
		})
	}
	all.Wait()
	if got := len(b.entries(b.read(path))); got != 8 {
		t.Errorf("%d values are in the file, want 8:\n%s", got, b.read(path))
	}
}

func TestSealOfAWholeFileRefuses(t *testing.T) {
	b := newSealBench(t)
	class := b.file("web.yaml", "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: web, namespace: prod}\nspec:\n  provider: lanyard\n")
	before := b.read(class)
	for name, c := range map[string]struct {
		stdin string
		flags []string
		tells []string
	}{
		"all that is wrong at once": {"A=hunter$2\nB=\n", []string{"--from-env", "-"}, []string{"standard input:1: ", "standard input:2: is empty"}},
		"a path that cannot be":     {`{"../a": "hunter", "b/": "hunter"}`, []string{"--from-json", "-"}, []string{"standard input:1: the path must not leave", "must name a file"}},
		"another namespace":         {"apiVersion: v1\nkind: Secret\nmetadata: {namespace: test}\nstringData: {a: hunter}\n", []string{"--from-secret", "-"}, []string{`namespace "test"`}},
		"two files":                 {"", []string{"--from-env", "a", "--from-json", "b"}, []string{"one of them"}},
		"a name":                    {"A=hunter\n", []string{"--from-env", "-", "--name", "a"}, []string{"--name is for one value"}},
		"a value's file":            {"A=hunter\n", []string{"--from-env", "-", "--file", "a"}, []string{"--file"}},
		"a file that is not there":  {"", []string{"--from-env", "/nonexistent"}, []string{"/nonexistent"}},
		"no service account":        {"A=hunter\n", []string{"--from-env", "-", "--service-account", ""}, []string{"--service-account is missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"seal", "--public", b.public, "--service-account", "web", "--merge-into", class}, c.flags...)
			code, stdout, stderr := b.in(t).run(c.stdin, args...)
			if code != 2 || stdout != "" || strings.Contains(stderr, "hunter") {
				t.Errorf("exit code %d, %q", code, stderr)
			}
			for _, tells := range c.tells {
				if !strings.Contains(stderr, tells) {
					t.Errorf("error %q does not tell %q", stderr, tells)
				}
			}
		})
	}
	b.refused(2, "one sealed value", "A=1\n", "seal", "--public", b.public, "-n", "prod", "--service-account", "web", "--from-env", "-", "-o", "text")
	if after, err := os.ReadFile(class); err != nil || string(after) != before {
		t.Error("a refusal changed the file")
	}
}
