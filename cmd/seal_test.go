package cmd_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/cmd"
)

// sealBench is a folder with a key ring for the cluster "dev" and its public
// part, and the means to run commands there.
type sealBench struct {
	t            *testing.T
	dir          string
	ring, public string
}

func newSealBench(t *testing.T) *sealBench {
	t.Helper()
	dir := t.TempDir()
	b := &sealBench{t: t, dir: dir, ring: filepath.Join(dir, "ring.yaml"), public: filepath.Join(dir, "public.yaml")}
	b.must("", "keygen", "--out", b.ring, "--cluster", "dev", "--public-out", b.public)
	return b
}

// in is the same bench for a subtest.
func (b *sealBench) in(t *testing.T) *sealBench {
	copied := *b
	copied.t = t
	return &copied
}

func (b *sealBench) run(stdin string, args ...string) (code int, stdout, stderr string) {
	b.t.Helper()
	var out, errs bytes.Buffer
	code = cmd.Execute(args, strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

// must runs a command that has to succeed and returns what it printed.
func (b *sealBench) must(stdin string, args ...string) string {
	b.t.Helper()
	code, stdout, stderr := b.run(stdin, args...)
	if code != 0 {
		b.t.Fatalf("lanyard %s: exit code %d: %s", args[0], code, stderr)
	}
	return stdout
}

// refused runs a command that has to fail and print nothing but an error.
func (b *sealBench) refused(want int, tells, stdin string, args ...string) {
	b.t.Helper()
	code, stdout, stderr := b.run(stdin, args...)
	if code != want {
		b.t.Errorf("lanyard %s: exit code %d, want %d: %s", args[0], code, want, stderr)
	}
	if stdout != "" {
		b.t.Errorf("lanyard %s printed %q and failed", args[0], stdout)
	}
	if !strings.Contains(stderr, tells) {
		b.t.Errorf("error %q does not tell %q", stderr, tells)
	}
}

func (b *sealBench) file(name, content string) string {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
		b.t.Fatal(err)
	}
	return path
}

func (b *sealBench) read(path string) string {
	b.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(data)
}

var forWeb = []string{"-n", "prod", "--service-account", "web", "--name", "db/password"}

func (b *sealBench) seal(value string, extra ...string) string {
	b.t.Helper()
	return b.must(value, append(append([]string{"seal", "--public", b.public}, forWeb...), extra...)...)
}

func (b *sealBench) unseal(text string) string {
	b.t.Helper()
	return b.must(text, "unseal", "--key-ring", b.ring, "--ignore-scope")
}

func TestSealKeepsTheValueByteForByte(t *testing.T) {
	b := newSealBench(t)
	for name, c := range map[string]struct {
		value string
		flags []string
		want  string
	}{
		"as it is":                     {"v", nil, "v"},
		"with its newline":             {"v\n", nil, "v\n"},
		"without its newline":          {"v\n", []string{"--trim-newline"}, "v"},
		"without one newline of two":   {"v\n\n", []string{"--trim-newline"}, "v\n"},
		"without a Windows line end":   {"v\r\n", []string{"--trim-newline"}, "v"},
		"a carriage return is no line": {"v\r", []string{"--trim-newline"}, "v\r"},
		"nothing to trim":              {"v", []string{"--trim-newline"}, "v"},
		"any bytes":                    {"\x00\xff\xfe", nil, "\x00\xff\xfe"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := b.in(t).unseal(b.in(t).seal(c.value, c.flags...)); got != c.want {
				t.Errorf("unsealed %q, want %q", got, c.want)
			}
		})
	}
	t.Run("from a file", func(t *testing.T) {
		if got := b.in(t).unseal(b.in(t).seal("", "--file", b.file("value", "from a file"))); got != "from a file" {
			t.Errorf("unsealed %q", got)
		}
	})
}

func TestSealNotesANewlineThatMayBeUnwanted(t *testing.T) {
	b := newSealBench(t)
	for value, noted := range map[string]bool{"v\n": true, "v": false, "-----BEGIN\n-----END\n": false} {
		_, _, stderr := b.run(value, append([]string{"seal", "--public", b.public}, forWeb...)...)
		if strings.Contains(stderr, "--trim-newline") != noted {
			t.Errorf("value %q: standard error %q, want a note %v", value, stderr, noted)
		}
	}
}

func TestSealRefuses(t *testing.T) {
	b := newSealBench(t)
	sealed := func(args ...string) []string { return append([]string{"seal", "--public", b.public}, args...) }
	for name, c := range map[string]struct {
		stdin string
		args  []string
		tells string
	}{
		"no public key":              {"v", append([]string{"seal"}, forWeb...), "--public"},
		"a public key not there":     {"v", append([]string{"seal", "--public", "/nonexistent"}, forWeb...), "/nonexistent"},
		"a private key ring":         {"v", append([]string{"seal", "--public", b.ring}, forWeb...), "private key ring"},
		"no namespace":               {"v", sealed("--service-account", "web", "--name", "o"), "--namespace is missing"},
		"no service account":         {"v", sealed("-n", "prod", "--name", "o"), "--service-account is missing"},
		"no object":                  {"v", sealed("-n", "prod", "--service-account", "web"), "--name is missing"},
		"exact and any":              {"v", sealed(append(forWeb, "--any-namespace")...), "exclude"},
		"a namespace in capitals":    {"v", sealed("-n", "Prod", "--service-account", "web", "--name", "o"), "namespace"},
		"an empty value":             {"", sealed(forWeb...), "empty"},
		"a value too long":           {strings.Repeat("v", 1<<20+1), sealed(forWeb...), "1048576"},
		"a value far too long":       {strings.Repeat("v", 3<<20), sealed(forWeb...), "bytes"},
		"a time in the past":         {"v", sealed(append(forWeb, "--not-after", "2020-01-01T00:00:00Z")...), "future"},
		"a negative duration":        {"v", sealed(append(forWeb, "--not-after", "-1h")...), "future"},
		"what is no time":            {"v", sealed(append(forWeb, "--not-after", "soon")...), "90d"},
		"an unknown output":          {"v", sealed(append(forWeb, "--output", "xml")...), "--output"},
		"a class without a file":     {"v", sealed(append(forWeb, "--class", "web")...), "--merge-into"},
		"an unknown flag":            {"v", sealed(append(forWeb, "--value", "x")...), "--value"},
		"a value file not there":     {"", sealed(append(forWeb, "--file", "/nonexistent")...), "/nonexistent"},
		"a new class without a name": {"v", sealed(append(forWeb, "-o", "class")...), "--class is missing"},
		"any name without a path":    {"v", sealed("-n", "prod", "--service-account", "web", "--any-name", "-o", "entry"), "--path"},
		"a class file not there":     {"v", sealed("--service-account", "web", "--path", "a", "--merge-into", "/nonexistent"), "/nonexistent"},
		"a class file of no class":   {"v", sealed("--service-account", "web", "--path", "a", "--merge-into", b.file("x.yaml", "a: b\n")), "no SecretProviderClass"},
	} {
		t.Run(name, func(t *testing.T) { b.in(t).refused(2, c.tells, c.stdin, c.args...) })
	}
	t.Run("a value as an argument, without repeating it", func(t *testing.T) {
		code, stdout, stderr := b.in(t).run("", sealed(append(forWeb, "hunter2")...)...)
		if code != 2 || strings.Contains(stdout+stderr, "hunter2") || !strings.Contains(stderr, "standard input") {
			t.Errorf("exit code %d, %q", code, stderr)
		}
	})
	t.Run("a key without a cluster asks for one", func(t *testing.T) {
		ring, public := filepath.Join(b.dir, "r2.yaml"), filepath.Join(b.dir, "p2.yaml")
		b.in(t).must("", "keygen", "--out", ring, "--public-out", public)
		b.in(t).refused(2, "--cluster is missing", "v", append([]string{"seal", "--public", public}, forWeb...)...)
		b.in(t).must("v", append([]string{"seal", "--public", public, "--any-cluster"}, forWeb...)...)
	})
}

func TestSealScopeFlags(t *testing.T) {
	b := newSealBench(t)
	for name, c := range map[string]struct {
		flags []string
		want  string // in the JSON of inspect
	}{
		"exact":           {forWeb, `"cluster": "dev", "namespace": "prod", "serviceAccount": "web", "object": "db/password"`},
		"another cluster": {append([]string{"--cluster", "live"}, forWeb...), `"cluster": "live"`},
		"any cluster":     {append([]string{"--any-cluster"}, forWeb...), `"cluster": null`},
		"any of all":      {[]string{"--any-cluster", "--any-namespace", "--any-service-account", "--any-name"}, `"cluster": null, "namespace": null, "serviceAccount": null, "object": null`},
		"the path's name": {[]string{"-n", "prod", "--service-account", "web", "--path", "a/b"}, `"object": "a/b"`},
		"until a time":    {append([]string{"--not-after", "2199-01-01T01:00:00+01:00"}, forWeb...), `"notAfter": "2199-01-01T00:00:00Z"`},
		"never expiring":  {forWeb, `"notAfter": null`},
	} {
		t.Run(name, func(t *testing.T) {
			text := b.in(t).must("v", append([]string{"seal", "--public", b.public}, c.flags...)...)
			told := strings.Join(strings.Fields(b.in(t).must(text, "inspect", "-o", "json")), " ")
			if !strings.Contains(told, c.want) {
				t.Errorf("inspect tells %s, want %s", told, c.want)
			}
		})
	}
	t.Run("for 90 days", func(t *testing.T) {
		told := b.in(t).must(b.in(t).seal("v", "--not-after", "90d"), "inspect")
		day := time.Now().UTC().AddDate(0, 0, 90).Format("2006-01-02")
		before := time.Now().UTC().AddDate(0, 0, 90).Add(-time.Minute).Format("2006-01-02")
		if !strings.Contains(told, day) && !strings.Contains(told, before) {
			t.Errorf("inspect tells %s, want %s", told, day)
		}
	})
}

func TestSealPrintsAnEntry(t *testing.T) {
	b := newSealBench(t)
	for name, c := range map[string]struct {
		flags []string
		want  string
	}{
		"of a name":            {[]string{"--name", "a"}, "- path: a\n  sealed: lanyard.v1."},
		"of a path":            {[]string{"--path", "a/b"}, "- path: a/b\n  sealed: lanyard.v1."},
		"of a path and a name": {[]string{"--path", "a/b", "--name", "b"}, "- path: a/b\n  name: b\n  sealed: lanyard.v1."},
	} {
		t.Run(name, func(t *testing.T) {
			got := b.in(t).must("v", append([]string{"seal", "--public", b.public, "-n", "prod", "--service-account", "web", "-o", "entry"}, c.flags...)...)
			if !strings.HasPrefix(got, c.want) || strings.Count(got, "\n") != strings.Count(c.want, "\n")+1 {
				t.Errorf("printed %q, want %q...", got, c.want)
			}
		})
	}
}

func TestSealMergesIntoAClass(t *testing.T) {
	const before = `apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: web, namespace: prod}
spec:
  provider: lanyard   # ours
  parameters:
    objects: |
      - path: tls/key   # by the platform team
        name: key
        sealed: lanyard.v1.OLD
`
	b := newSealBench(t)
	path := b.file("web.yaml", before)
	merge := func(flags ...string) {
		t.Helper()
		if out := b.must("v", append([]string{"seal", "--public", b.public, "--service-account", "web", "--merge-into", path}, flags...)...); out != "" {
			t.Errorf("printed %q", out)
		}
	}
	textAfter := func(marker string) string {
		t.Helper()
		_, rest, ok := strings.Cut(b.read(path), marker)
		if !ok {
			t.Fatalf("%q is not in\n%s", marker, b.read(path))
		}
		text, _, _ := strings.Cut(rest, "\n")
		return text
	}

	// The namespace comes from the class, and the object's name from the object.
	merge("--path", "tls/key")
	text := textAfter("name: key\n        sealed: ")
	if got := b.must(text, "unseal", "--key-ring", b.ring, "-n", "prod", "--service-account", "web", "--name", "key"); got != "v" {
		t.Errorf("unsealed %q", got)
	}
	if got := strings.Replace(b.read(path), text, "lanyard.v1.OLD", 1); got != before {
		t.Errorf("more than the value changed:\n%s", got)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o640 {
		t.Errorf("the file's mode became %v", info.Mode())
	}

	merge("--path", "db/password")
	text = textAfter("      - path: db/password\n        sealed: ")
	b.must(text, "unseal", "--key-ring", b.ring, "-n", "prod", "--service-account", "web", "--name", "db/password")
	merge("--name", "db/user")
	textAfter("      - path: db/user\n        sealed: ")
	merge("--path", "tls/key", "--any-name")

	kept := b.read(path)
	b.refused(2, `namespace "prod"`, "v", "seal", "--public", b.public, "-n", "test", "--service-account", "web", "--merge-into", path, "--path", "x")
	b.refused(2, "--path is missing", "v", "seal", "--public", b.public, "--service-account", "web", "--merge-into", path)
	b.refused(2, "--output", "v", "seal", "--public", b.public, "--service-account", "web", "--merge-into", path, "--path", "x", "-o", "entry")
	b.refused(2, `no SecretProviderClass named api`, "v", "seal", "--public", b.public, "--service-account", "web", "--merge-into", path, "--path", "x", "--class", "api")
	b.refused(2, "empty", "", "seal", "--public", b.public, "--service-account", "web", "--merge-into", path, "--path", "x")
	if b.read(path) != kept {
		t.Error("a refusal changed the file")
	}
	if left, err := filepath.Glob(filepath.Join(b.dir, ".lanyard-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestSealNamesTheFlagOfAFileThatCannotBeUsed(t *testing.T) {
	b := newSealBench(t)
	none := filepath.Join(b.dir, "none")
	for flag, args := range map[string][]string{
		"--public: ":   append([]string{"seal", "--public", none}, forWeb...),
		"--key: ":      append([]string{"seal", "--key", none}, forWeb...),
		"--key-ring: ": {"unseal", "--key-ring", none, "--ignore-scope"},
		"--open-key: ": {"reseal", "--open-key", none, "--public", b.public, b.dir},
	} {
		b.refused(2, flag+"open "+none+": no such file", "v", args...)
	}
}
