package cmd_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var keyIDPattern = regexp.MustCompile(`[0-9a-f]{32}`)

// writeKey is the id that keygen printed as the write key.
func writeKey(t *testing.T, printed string) string {
	t.Helper()
	_, rest, _ := strings.Cut(printed, "write key:")
	id := keyIDPattern.FindString(rest)
	if id == "" {
		t.Fatalf("no write key in %q", printed)
	}
	return id
}

func TestKeygenMakesPrivateFiles(t *testing.T) {
	b := newSealBench(t)
	for path, want := range map[string]os.FileMode{b.ring: 0o600, b.public: 0o644} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has the mode %v, want %v", path, info.Mode().Perm(), want)
		}
	}
	if !strings.Contains(b.read(b.ring), "for development") {
		t.Error("the key ring does not say that it is for development")
	}
	_, private, _ := strings.Cut(b.read(b.ring), "lanyard.private.v1.")
	if private == "" || strings.Contains(b.read(b.public), strings.TrimSpace(private)) {
		t.Error("the public part holds the private key")
	}
}

func TestKeygenWritesNoPublicPartOverThePrivateOne(t *testing.T) {
	b := newSealBench(t)
	folder := filepath.Join(b.dir, "folder")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(folder, filepath.Join(b.dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(b.ring, filepath.Join(b.dir, "ring-too.yaml")); err != nil {
		t.Fatal(err)
	}
	before := b.read(b.ring)
	for _, c := range [][]string{
		{"--out", filepath.Join(folder, "new.yaml"), "--public-out", filepath.Join(folder, "new.yaml")},
		{"--out", filepath.Join(folder, "new.yaml"), "--public-out", filepath.Join(b.dir, "link", ".", "new.yaml")},
		{"--out", filepath.Join(folder, "new.yaml"), "--public-out", filepath.Join(b.dir, "link", "new.yaml"), "--sealer", "ci"},
		{"--out", b.ring, "--public-out", filepath.Join(b.dir, "ring-too.yaml"), "--export"},
		{"--out", b.ring, "--public-out", b.ring, "--rotate"},
	} {
		b.refused(2, "--out and --public-out are both", "", append([]string{"keygen"}, c...)...)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 || b.read(b.ring) != before {
		t.Errorf("something was written: %v, %v", left, err)
	}
}

func TestKeygenRotatesAndRetires(t *testing.T) {
	b := newSealBench(t)
	first := writeKey(t, b.must("", "keygen", "--out", b.ring, "--export", "--public-out", b.public))
	old := b.seal("old")

	printed := b.must("", "keygen", "--out", b.ring, "--rotate", "--public-out", b.public)
	second := writeKey(t, printed)
	if second == first || !strings.Contains(printed, first) {
		t.Errorf("rotation printed %q", printed)
	}
	if !strings.Contains(b.read(b.public), second) {
		t.Error("the public part was not replaced")
	}
	if got := b.unseal(old) + b.unseal(b.seal("new")); got != "oldnew" {
		t.Errorf("unsealed %q", got)
	}

	b.refused(1, "rotate first", "", "keygen", "--out", b.ring, "--retire", second, "--yes")
	b.must("", "keygen", "--out", b.ring, "--retire", first, "--yes")
	b.refused(1, "retired", old, "unseal", "--key-ring", b.ring, "--ignore-scope")
	b.refused(1, "already", "", "keygen", "--out", b.ring, "--retire", first, "--yes")

	info, err := os.Stat(b.ring)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the key ring's mode became %v", info.Mode().Perm())
	}
	if left, err := filepath.Glob(filepath.Join(b.dir, ".lanyard-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestKeygenRefuses(t *testing.T) {
	b := newSealBench(t)
	other := newSealBench(t)
	ring, public := b.read(b.ring), b.read(b.public)
	fresh := filepath.Join(b.dir, "fresh.yaml")
	dangling := filepath.Join(b.dir, "dangling")
	if err := os.Symlink(fresh, dangling); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		code  int
		args  []string
		tells string
	}{
		"no file":                     {2, nil, "--out"},
		"to overwrite a key ring":     {2, []string{"--out", b.ring}, "would lose its keys"},
		"to follow a dangling link":   {2, []string{"--out", dangling}, "exists"},
		"a folder that is not there":  {1, []string{"--out", filepath.Join(b.dir, "none", "r.yaml")}, "no such file"},
		"an argument":                 {2, []string{"--out", fresh, "x"}, "no arguments"},
		"a cluster with a newline":    {2, []string{"--out", fresh, "--cluster", "a\nb"}, "--cluster"},
		"two things at once":          {2, []string{"--out", b.ring, "--rotate", "--export"}, "one of them"},
		"another cluster":             {2, []string{"--out", b.ring, "--rotate", "--cluster", "x"}, "keeps its cluster"},
		"to export nowhere":           {2, []string{"--out", b.ring, "--export"}, "--public-out"},
		"to rotate what is not there": {2, []string{"--out", fresh, "--rotate"}, "no such file"},
		"to rotate a public key":      {2, []string{"--out", func() string { _ = os.Chmod(b.public, 0o600); return b.public }(), "--rotate"}, "public key"},
		"to retire no key id":         {2, []string{"--out", b.ring, "--retire", "x"}, "--retire"},
		"to retire an unknown key":    {1, []string{"--out", b.ring, "--retire", strings.Repeat("0", 32)}, "has no key"},
		"another ring's public part":  {2, []string{"--out", b.ring, "--rotate", "--public-out", other.public}, "not of this key ring"},
		"a public part over a file":   {2, []string{"--out", fresh, "--public-out", b.file("notes", "hello")}, "no public key"},
	} {
		t.Run(name, func(t *testing.T) {
			b.in(t).refused(c.code, c.tells, "", append([]string{"keygen"}, c.args...)...)
		})
	}
	if b.read(b.ring) != ring || b.read(b.public) != public {
		t.Error("a refusal changed a key file")
	}
	if _, err := os.Stat(fresh); err == nil {
		t.Error("a refusal left a key ring")
	}
	t.Run("a key ring that others can read", func(t *testing.T) {
		if err := os.Chmod(b.ring, 0o644); err != nil {
			t.Fatal(err)
		}
		b.in(t).refused(2, "chmod 600", "", "keygen", "--out", b.ring, "--rotate")
	})
}

func TestKeygenNamesTheFileThatItCannotWrite(t *testing.T) {
	b := newSealBench(t)
	missing := filepath.Join(t.TempDir(), "missing", "ring.yaml")
	b.refused(1, missing+" cannot be written: no such file or directory", "", "keygen", "--out", missing)
}

func TestAKeyThatIsNeededIsNotRetired(t *testing.T) {
	b := newSealBench(t)
	first := writeKey(t, b.must("", "keygen", "--out", b.ring, "--export", "--public-out", b.public))
	deploy := filepath.Join(b.dir, "deploy")
	if err := os.Mkdir(deploy, 0o750); err != nil {
		t.Fatal(err)
	}
	b.file("deploy/web.yaml", "a: b\nc: "+b.seal("v"))
	b.must("", "keygen", "--out", b.ring, "--rotate", "--public-out", b.public)
	ring := b.read(b.ring)
	b.refused(1, "1 value is still sealed to key "+first+"; seal them to the new one with lanyard reseal: "+deploy+"/web.yaml:2", "", "keygen", "--out", b.ring, "--retire", first, "--yes", deploy)
	b.refused(2, "no such file", "", "keygen", "--out", b.ring, "--retire", first, "--yes", filepath.Join(b.dir, "none"))
	b.must("", b.reseal(deploy)...)
	b.refused(2, "give --yes", "", "keygen", "--out", b.ring, "--retire", first, deploy)
	b.refused(2, "takes no arguments", "", "keygen", "--out", b.ring, "--rotate", deploy)
	if b.read(b.ring) != ring {
		t.Error("the ring has changed")
	}
	b.must("", "keygen", "--out", b.ring, "--retire", first, "--yes", deploy)
}
