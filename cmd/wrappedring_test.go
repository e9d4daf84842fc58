package cmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// wrappedBench is a bench whose key ring is wrapped by the key service prod.
func wrappedBench(t *testing.T) (b *sealBench, key string) {
	t.Helper()
	dir := t.TempDir()
	b = &sealBench{t: t, dir: dir, ring: filepath.Join(dir, "ring.yaml"), public: filepath.Join(dir, "public.yaml")}
	key = b.sealKey("prod")
	printed := b.must("", "keygen", "--out", b.ring, "--cluster", "dev", "--public-out", b.public, "--key", key)
	if !strings.Contains(printed, "wrapped by key prod") {
		t.Errorf("printed %q", printed)
	}
	return b, key
}

func TestKeygenWithAKeyService(t *testing.T) {
	b, key := wrappedBench(t)
	if file := b.read(b.ring); strings.Contains(file, "private: ") || !strings.Contains(file, "kind: lanyard.wrapped-key-ring.v1\n") {
		t.Errorf("the ring is\n%s", file)
	}
	first := writeKey(t, b.must("", "keygen", "--out", b.ring, "--export", "--public-out", b.public))
	old := b.seal("old")
	b.must("", "keygen", "--out", b.ring, "--rotate", "--key", key, "--public-out", b.public)
	open := func(text string) string {
		return b.must(text, "unseal", "--key-ring", b.ring, "--key", key, "--ignore-scope")
	}
	if got := open(old) + open(b.seal("new")); got != "oldnew" {
		t.Errorf("unsealed %q", got)
	}
	path := b.file("web.yaml", "a: "+old)
	if got := b.must("", "reseal", "--key-ring", b.ring, "--open-key", key, "--public", b.public, path); !strings.HasPrefix(got, "1 value resealed") {
		t.Errorf("printed %q", got)
	}
	b.must("", "keygen", "--out", b.ring, "--retire", first, "--yes")
	b.refused(1, "retired", old, "unseal", "--key-ring", b.ring, "--key", key, "--ignore-scope")
	if got := open(strings.TrimPrefix(b.read(path), "a: ")); got != "old" {
		t.Errorf("unsealed %q", got)
	}
}

func TestKeygenWrapsAPlainRing(t *testing.T) {
	b := newSealBench(t)
	text := b.seal("v")
	key := b.sealKey("prod")
	if printed := b.must("", "keygen", "--out", b.ring, "--wrap", "--key", key); !strings.Contains(printed, "destroy every copy") {
		t.Errorf("printed %q", printed)
	}
	if strings.Contains(b.read(b.ring), "private: ") {
		t.Error("the ring is still plain")
	}
	if got := b.must(text, "unseal", "--key-ring", b.ring, "--key", key, "--ignore-scope"); got != "v" {
		t.Errorf("unsealed %q", got)
	}
	b.refused(2, "already", "", "keygen", "--out", b.ring, "--wrap", "--key", key)
}

func TestKeygenWithAKeyServiceRefuses(t *testing.T) {
	b, key := wrappedBench(t)
	plain := newSealBench(t)
	ring := b.read(b.ring)
	fresh := filepath.Join(b.dir, "fresh.yaml")
	other := b.sealKey("other")
	broken := b.file("broken.yaml", "kind: lanyard.seal-key.v1\nname: prod\nservice: {type: local, file: /nowhere/keys}\n")
	text := b.seal("v")
	for name, c := range map[string]struct {
		code  int
		tells string
		args  []string
	}{
		"to rotate without the key":         {2, "wrapped by key prod", []string{"keygen", "--out", b.ring, "--rotate"}},
		"to rotate with another key":        {2, "wrapped by key prod, not by other", []string{"keygen", "--out", b.ring, "--rotate", "--key", other}},
		"to rotate while it is away":        {1, "key prod", []string{"keygen", "--out", b.ring, "--rotate", "--key", broken}},
		"a new ring while it is away":       {1, "key prod", []string{"keygen", "--out", fresh, "--key", broken}},
		"a key that is no file of a key":    {2, "public key", []string{"keygen", "--out", fresh, "--key", b.public}},
		"a key that is not needed":          {2, "leave out --key", []string{"keygen", "--out", b.ring, "--export", "--public-out", b.public, "--key", key}},
		"to wrap without a key":             {2, "--key", []string{"keygen", "--out", plain.ring, "--wrap"}},
		"to rotate a plain ring with a key": {2, "wrap it first", []string{"keygen", "--out", plain.ring, "--rotate", "--key", key}},
		"to unseal without the key":         {2, "wrapped by key prod of a key service; give the file that names it with --key", []string{"unseal", "--key-ring", b.ring, "--ignore-scope", strings.TrimSpace(text)}},
		"to reseal with another key":        {2, "with --open-key", []string{"reseal", "--key-ring", b.ring, "--open-key", other, "--public", b.public, b.public}},
		"a wrapped ring for --public":       {2, "key ring", append([]string{"seal", "--public", b.ring}, forWeb...)},
	} {
		t.Run(name, func(t *testing.T) { b.in(t).refused(c.code, c.tells, "v", c.args...) })
	}
	if b.read(b.ring) != ring {
		t.Error("a refusal changed the ring")
	}
	if _, err := os.Stat(fresh); err == nil {
		t.Error("a refusal left a ring")
	}
}

// Of several that change one ring at once none undoes another's change.
func TestKeygenOneAtATime(t *testing.T) {
	for name, setUp := range map[string]func(t *testing.T) (*sealBench, []string){
		"a plain ring":   func(t *testing.T) (*sealBench, []string) { return newSealBench(t), nil },
		"a wrapped ring": func(t *testing.T) (*sealBench, []string) { b, key := wrappedBench(t); return b, []string{"--key", key} },
	} {
		t.Run(name, func(t *testing.T) {
			b, key := setUp(t)
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					if code, _, stderr := b.run("", append([]string{"keygen", "--out", b.ring, "--rotate"}, key...)...); code != 0 {
						t.Errorf("exit code %d: %s", code, stderr)
					}
				})
			}
			all.Wait()
			if got := strings.Count(b.read(b.ring), "- id: "); got != 9 {
				t.Errorf("%d keys, want 9", got)
			}
		})
	}
}

// Between a key ring and a key service, and from one version of a key to the next.
func TestResealsBetweenSuites(t *testing.T) {
	b := newSealBench(t)
	key := b.sealKey("prod")
	path := b.file("web.yaml", "a: "+b.seal("v"))
	suite := func() string {
		_, text, _ := strings.Cut(b.read(path), "a: ")
		told := b.must(text, "inspect")
		return strings.Fields(told)[1]
	}
	for _, step := range []struct {
		args []string
		want string
		to   string
	}{
		{[]string{"--key-ring", b.ring, "--key", key}, "1 value resealed, 0", "2"},
		{[]string{"--open-key", key, "--key", key}, "0 values resealed, 1", "2"},
		{[]string{"--key-ring", b.ring, "--open-key", key, "--public", b.public}, "1 value resealed, 0", "1"},
		{[]string{"--key-ring", b.ring, "--key", key}, "1 value resealed, 0", "2"},
	} {
		if got := b.must("", append(append([]string{"reseal"}, step.args...), path)...); !strings.HasPrefix(got, step.want) || suite() != step.to {
			t.Errorf("reseal %v printed %q, the value is of suite %s", step.args, got, suite())
		}
	}
	// A new version of the key service's key.
	local := filepath.Join(b.dir, "prod-local")
	b.file("prod-local.new", "bmV3IGtleSBmb3IgdGhlIHRlc3RzIG9mIGNvbW1hbmQ=\n"+b.read(local))
	if err := os.Chmod(filepath.Join(b.dir, "prod-local.new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(b.dir, "prod-local.new"), local); err != nil {
		t.Fatal(err)
	}
	if got := b.must("", "reseal", "--open-key", key, "--key", key, path); !strings.HasPrefix(got, "1 value resealed") {
		t.Errorf("after a rotation: %q", got)
	}
	_, text, _ := strings.Cut(b.read(path), "a: ")
	if got := b.must(text, "unseal", "--key", key, "--ignore-scope"); got != "v" {
		t.Errorf("unsealed %q", got)
	}
}
