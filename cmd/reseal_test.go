package cmd_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/manifest/reseal"
)

// reseal runs reseal with the bench's keys.
func (b *sealBench) reseal(args ...string) []string {
	return append([]string{"reseal", "--key-ring", b.ring, "--public", b.public}, args...)
}

func TestResealsAfterARotation(t *testing.T) {
	b := newSealBench(t)
	deploy := filepath.Join(b.dir, "deploy")
	if err := os.MkdirAll(deploy, 0o755); err != nil {
		t.Fatal(err)
	}
	class := filepath.Join("deploy", "web.yaml")
	path := b.file(class, "# the shop\nkind: SecretProviderClass\nmetadata: {name: web, namespace: prod}\nspec:\n  provider: lanyard\n  parameters:\n    objects: |\n      - path: db/password # by hand\n        sealed: "+strings.TrimSpace(b.seal("v"))+"\n")
	before := b.read(path)
	first := writeKey(t, b.must("", "keygen", "--out", b.ring, "--export", "--public-out", b.public))
	b.must("", "keygen", "--out", b.ring, "--rotate", "--public-out", b.public)

	if got := b.must("", b.reseal("--dry-run", deploy)...); got != "1 value to be resealed, 0 current already, 0 failed, in 1 file\n" || b.read(path) != before {
		t.Errorf("the dry run printed %q", got)
	}
	var report reseal.Report
	if err := json.Unmarshal([]byte(b.must("", b.reseal("-o", "json", deploy)...)), &report); err != nil {
		t.Fatal(err)
	}
	value := report.Files[0].Values[0]
	if report.Resealed != 1 || value.Object != "db/password" || value.Class != "web" || value.Line != 9 || value.From != first || value.To == first || value.State != reseal.Resealed {
		t.Errorf("reported %+v", report)
	}
	if got := b.must("", b.reseal(deploy)...); got != "0 values resealed, 1 current already, 0 failed, in 1 file\n" {
		t.Errorf("printed %q", got)
	}
	// Now the old key can go.
	b.must("", "keygen", "--out", b.ring, "--retire", first, "--yes")
	_, text, _ := strings.Cut(b.read(path), "sealed: ")
	if got := b.must(text, "unseal", "--key-ring", b.ring, "-n", "prod", "--service-account", "web", "--name", "db/password"); got != "v" {
		t.Errorf("unsealed %q", got)
	}
}

func TestResealTellsEveryFailure(t *testing.T) {
	b := newSealBench(t)
	foreign := newSealBench(t)
	path := b.file("web.yaml", "a: "+b.seal("v")+"b: "+foreign.seal("v")+"c: lanyard.v1.xx\n")
	code, stdout, stderr := b.run("", b.reseal(path)...)
	if code != 1 || !strings.Contains(stdout, path+":2: unknown key") || !strings.Contains(stdout, path+":3: malformed") ||
		!strings.Contains(stdout, "0 values resealed, 1 current already, 2 failed, in 1 file\n") || !strings.Contains(stderr, "do not retire") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}

func TestResealNarrows(t *testing.T) {
	b := newSealBench(t)
	text := b.must("v", "seal", "--public", b.public, "-n", "prod", "--any-service-account", "--name", "a")
	path := b.file("web.yaml", "a: "+text)
	b.must("", b.reseal("--service-account", "web", "--not-after", "90d", path)...)
	_, text, _ = strings.Cut(b.read(path), "a: ")
	if told := b.must(text, "inspect", "-o", "json"); !strings.Contains(told, `"serviceAccount": "web"`) || strings.Contains(told, `"notAfter": null`) {
		t.Errorf("inspect tells %s", told)
	}
	code, stdout, _ := b.run("", b.reseal("-n", "test", path)...)
	if code != 1 || !strings.Contains(stdout, `namespace "prod"`) {
		t.Errorf("exit code %d, %q", code, stdout)
	}
}

func TestResealRefuses(t *testing.T) {
	b := newSealBench(t)
	path := b.file("web.yaml", "a: "+b.seal("v"))
	none := b.file("none.yaml", "a: b\n")
	for name, c := range map[string]struct {
		args  []string
		tells string
	}{
		"no path":                {b.reseal(), "no file or directory"},
		"no key ring":            {[]string{"reseal", "--public", b.public, path}, "--key-ring is missing"},
		"no public key":          {[]string{"reseal", "--key-ring", b.ring, path}, "--public is missing"},
		"a public key as a ring": {[]string{"reseal", "--key-ring", func() string { _ = os.Chmod(b.public, 0o600); return b.public }(), "--public", b.public, path}, "public key"},
		"a path that is not":     {b.reseal(filepath.Join(b.dir, "nowhere")), "nowhere"},
		"an unknown output":      {b.reseal("-o", "xml", path), "--output"},
		"no workers":             {b.reseal("--workers", "0", path), "--workers"},
		"a time in the past":     {b.reseal("--not-after", "2020-01-01T00:00:00Z", path), "--not-after"},
	} {
		t.Run(name, func(t *testing.T) { b.in(t).refused(2, c.tells, "", c.args...) })
	}
	if code, _, stderr := b.run("", b.reseal(none)...); code != 2 || !strings.Contains(stderr, "no sealed values") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}

// The largest runs: many values in one file, and many files.
func TestResealsTenThousandValues(t *testing.T) {
	t.Parallel()
	b := newSealBench(t)
	texts := make([]string, 20)
	for i := range texts {
		texts[i] = strings.TrimSpace(b.seal(fmt.Sprint(i)))
	}
	var one strings.Builder
	one.WriteString("kind: SecretProviderClass\nmetadata: {name: web, namespace: prod}\nspec:\n  provider: lanyard\n  parameters:\n    objects: |\n")
	for i := range 5000 {
		fmt.Fprintf(&one, "      - path: o%d\n        sealed: %s\n", i, texts[i%len(texts)])
	}
	b.file("many.yaml", one.String())
	for i := range 500 {
		b.file(fmt.Sprintf("f%d.yaml", i), strings.Repeat("- "+texts[i%len(texts)]+"\n", 10))
	}
	b.must("", "keygen", "--out", b.ring, "--rotate", "--public-out", b.public)
	got := b.must("", b.reseal(b.dir)...)
	if got != "10000 values resealed, 0 current already, 0 failed, in 501 files\n" {
		t.Errorf("printed %q", got)
	}
}

func TestResealRefusesOtherNamesBesideStandardInput(t *testing.T) {
	b := newSealBench(t)
	for _, paths := range [][]string{{"-", b.dir}, {b.dir, "-"}, {"-", "-"}} {
		b.refused(2, "beside -", "", append([]string{"reseal", "--key-ring", b.ring, "--public", b.public}, paths...)...)
	}
}
