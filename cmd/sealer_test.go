package cmd_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// sealer makes the key of a sealer and returns the paths of both files.
func (b *sealBench) sealer(name string) (private, public string) {
	b.t.Helper()
	private, public = filepath.Join(b.dir, name+".yaml"), filepath.Join(b.dir, name+"-public.yaml")
	told := b.must("", "keygen", "--sealer", name, "--out", private, "--public-out", public)
	if !regexp.MustCompile(`sealer id:  [0-9a-f]{32}`).MatchString(told) {
		b.t.Errorf("keygen told %q", told)
	}
	return private, public
}

func TestSignsValuesAndChecksSignatures(t *testing.T) {
	b := newSealBench(t)
	private, public := b.sealer("ci")
	_, stranger := b.sealer("stranger")
	if info, err := os.Stat(private); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the private key's file: %v, %v", info.Mode(), err)
	}
	for name, with := range map[string][]string{"a public key": {"--public", b.public}, "a key service": {"--key", b.sealKey("prod")}} {
		t.Run(name, func(t *testing.T) {
			b := b.in(t)
			args := append(append([]string{"seal", "--sign-with", private}, with...), forWeb...)
			text := strings.TrimSpace(b.must("the value", args...))
			open := append([]string{"unseal", "--ignore-scope"}, "--key-ring", b.ring)
			if with[0] == "--key" {
				open = append([]string{"unseal", "--ignore-scope"}, with...)
			}
			if got := b.must(text, open...); got != "the value" {
				t.Errorf("opened %q", got)
			}
			if told := b.must(text, "inspect"); !strings.Contains(told, "signed by:") || !strings.Contains(told, "(not checked)") {
				t.Errorf("told %q", told)
			}
			if told := b.must(text, "inspect", "--sealer", public); !strings.Contains(told, "(checked)") {
				t.Errorf("told %q", told)
			}
			var told map[string]any
			if err := json.Unmarshal([]byte(b.must(text, "inspect", "--sealer", public, "-o", "json")), &told); err != nil || told["signatureChecked"] != true || len(told["sealer"].(string)) != 32 {
				t.Errorf("told %v", told)
			}
			b.refused(1, "unknown sealer", text, "inspect", "--sealer", stranger)
			if got := b.must(text, append(open, "--sealer", stranger, "--sealer", public)...); got != "the value" {
				t.Errorf("opened %q", got)
			}
			b.refused(1, "unknown sealer", text, append(open, "--sealer", stranger)...)
			other := map[bool]string{true: "w", false: "g"}[text[len(text)-3] == 'g']
			b.refused(1, "wrong signature", text[:len(text)-3]+other+text[len(text)-2:], "inspect", "--sealer", public)
		})
	}
	unsigned := strings.TrimSpace(b.seal("v"))
	b.refused(1, "not signed", unsigned, "inspect", "--sealer", public)
	b.refused(1, "not signed", unsigned, "unseal", "--ignore-scope", "--key-ring", b.ring, "--sealer", public)
	b.refused(2, "--sealer: ", unsigned, "unseal", "--ignore-scope", "--key-ring", b.ring, "--sealer", private)
	if told := b.must(unsigned, "inspect"); strings.Contains(told, "signed") {
		t.Errorf("told %q", told)
	}
}

func TestKeygenOfASealerRefuses(t *testing.T) {
	b := newSealBench(t)
	private, public := b.sealer("ci")
	fresh := filepath.Join(b.dir, "fresh.yaml")
	for name, c := range map[string]struct {
		tells string
		args  []string
	}{
		"no file":                    {"--out is missing", []string{"--sealer", "a", "--public-out", fresh}},
		"no public file":             {"--public-out is missing", []string{"--sealer", "a", "--out", fresh}},
		"a name with a space":        {"the sealer's name must be", []string{"--sealer", "a b", "--out", fresh, "--public-out", fresh}},
		"a private key that exists":  {private + " exists", []string{"--sealer", "a", "--out", private, "--public-out", fresh}},
		"a public part that exists":  {public + " exists", []string{"--sealer", "a", "--out", fresh + "2", "--public-out", public}},
		"rotation, which it has not": {"has no older keys", []string{"--sealer", "a", "--out", private, "--rotate"}},
	} {
		t.Run(name, func(t *testing.T) { b.in(t).refused(2, c.tells, "", append([]string{"keygen"}, c.args...)...) })
	}
	t.Run("and seal refuses what is no sealer", func(t *testing.T) {
		b := b.in(t)
		for file, tells := range map[string]string{public: "are too open", b.ring: "this is a private key ring; give the sealer's private key", fresh + "3": "no such file"} {
			b.refused(2, tells, "v", append([]string{"seal", "--public", b.public, "--sign-with", file}, forWeb...)...)
		}
	})
}

// A signature says who sealed a value: sealing again neither loses one in silence,
// nor gives one to what the sealer does not vouch for.
func TestResealSignsAgainWhatItsSealerMayTrust(t *testing.T) {
	b := newSealBench(t)
	private, public := b.sealer("ci")
	newer, newerPublic := b.sealer("newer")
	text := strings.TrimSpace(b.must("v", append([]string{"seal", "--public", b.public, "--sign-with", private}, forWeb...)...))
	class := b.file("class.yaml", "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: web, namespace: prod}\nspec:\n  provider: lanyard\n  parameters:\n    objects: |\n      - path: db/password\n        sealed: "+text+"\n")
	b.must("", "keygen", "--out", b.ring, "--rotate", "--public-out", b.public)
	reseal := func(flags ...string) (int, string) {
		code, stdout, stderr := b.run("", append([]string{"reseal", "--key-ring", b.ring, "--public", b.public, class}, flags...)...)
		return code, stdout + stderr
	}
	now := func() string {
		return regexp.MustCompile(`lanyard\.v1\.\S+`).FindString(b.read(class))
	}
	for tells, flags := range map[string][]string{
		"is signed by sealer":           nil,
		"unknown sealer":                {"--sign-with", newer},
		"say what is signed again with": {"--sealer", public},
		"this is the private key":       {"--sign-with", newer, "--sealer", private},
	} {
		if code, told := reseal(flags...); code == 0 || !strings.Contains(told, tells) || now() != text {
			t.Errorf("%v: exit code %d: %s", flags, code, told)
		}
	}
	if code, told := reseal("--sign-with", private); code != 0 || now() == text {
		t.Fatalf("exit code %d: %s", code, told)
	}
	b.must(now(), "inspect", "--sealer", public)
	if code, told := reseal("--sign-with", private); code != 0 || !strings.Contains(told, "1 current already") {
		t.Errorf("a second time: exit code %d: %s", code, told)
	}
	if code, told := reseal("--sign-with", newer, "--sealer", public); code != 0 {
		t.Fatalf("exit code %d: %s", code, told)
	}
	b.must(now(), "inspect", "--sealer", newerPublic)

	unsigned := strings.TrimSpace(b.seal("v"))
	b.file("class.yaml", strings.Replace(b.read(class), now(), unsigned, 1))
	if code, told := reseal("--sign-with", newer); code != 1 || !strings.Contains(told, "--sign-unsigned") || now() != unsigned {
		t.Errorf("exit code %d: %s", code, told)
	}
	if code, told := reseal("--sign-with", newer, "--sign-unsigned"); code != 0 {
		t.Fatalf("exit code %d: %s", code, told)
	}
	b.must(now(), "inspect", "--sealer", newerPublic)
}
