package cmd_test

import (
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

func TestUnsealChecksTheScope(t *testing.T) {
	b := newSealBench(t)
	text := strings.TrimSpace(b.seal("the value"))
	unseal := func(flags ...string) []string {
		return append([]string{"unseal", "--key-ring", b.ring}, flags...)
	}
	for name, args := range map[string][]string{
		"for the workload that it is sealed for": unseal(forWeb...),
		"in a cluster that is named":             unseal(append(forWeb, "--cluster", "dev")...),
		"for the holder of the key":              unseal("--ignore-scope"),
	} {
		t.Run(name, func(t *testing.T) {
			if got := b.in(t).must(text, args...); got != "the value" {
				t.Errorf("printed %q", got)
			}
			if got := b.in(t).must(text+"\n", args...); got != "the value" {
				t.Errorf("with a newline after the text: printed %q", got)
			}
			if got := b.in(t).must("", append(args, text)...); got != "the value" {
				t.Errorf("as an argument: printed %q", got)
			}
			if got := b.in(t).must("", append(args, "--file", b.file("text", text+"\r\n"))...); got != "the value" {
				t.Errorf("from a file: printed %q", got)
			}
		})
	}
	for name, c := range map[string]struct {
		code  int
		tells string
		text  string
		args  []string
	}{
		"another cluster":         {1, `"live"`, text, unseal(append(forWeb, "--cluster", "live")...)},
		"another namespace":       {1, `"test"`, text, unseal("-n", "test", "--service-account", "web", "--name", "db/password")},
		"another service account": {1, `"api"`, text, unseal("-n", "prod", "--service-account", "api", "--name", "db/password")},
		"another object":          {1, `"x"`, text, unseal("-n", "prod", "--service-account", "web", "--name", "x")},
		"nothing said":            {2, "--namespace is missing", text, unseal()},
		"scope and no scope":      {2, "--ignore-scope", text, unseal(append(forWeb, "--ignore-scope")...)},
		"no key ring":             {2, "--key-ring", text, append([]string{"unseal"}, forWeb...)},
		"a public key":            {2, "", text, append([]string{"unseal", "--key-ring", b.public}, forWeb...)},
		"no text":                 {2, "no sealed text", "", unseal(forWeb...)},
		"a cut text":              {2, "malformed", text[:300], unseal(forWeb...)},
		"a text of a later time":  {2, "unknown version", "lanyard.v7.AAAA", unseal(forWeb...)},
		"two texts":               {2, "one sealed text", "", unseal("--ignore-scope", text, text)},
		"a text twice":            {2, "one of them", "", unseal("--ignore-scope", "--file", b.public, text)},
		"another ring's key":      {1, "unknown key", text, []string{"unseal", "--key-ring", newSealBench(t).ring, "--ignore-scope"}},
	} {
		t.Run(name, func(t *testing.T) { b.in(t).refused(c.code, c.tells, c.text, c.args...) })
	}
}

func TestUnsealAndInspectOfAnExpiredValue(t *testing.T) {
	b := newSealBench(t)
	public, err := seal.ReadPublicKey(b.public)
	if err != nil {
		t.Fatal(err)
	}
	text, err := seal.Seal(public, seal.Scope{
		Cluster: seal.Any(), Namespace: seal.Any(), ServiceAccount: seal.Any(), Object: seal.Any(),
		NotAfter: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
	}, secret.NewString("old"))
	if err != nil {
		t.Fatal(err)
	}
	b.refused(1, "2020-01-01T00:00:00Z", text, "unseal", "--key-ring", b.ring)
	if got := b.unseal(text); got != "old" {
		t.Errorf("unsealed %q", got)
	}
	if told := b.must(text, "inspect"); !strings.Contains(told, "2020-01-01T00:00:00Z (expired)") || !strings.Contains(told, "(any)") {
		t.Errorf("inspect tells %q", told)
	}
	if told := b.must(text, "inspect", "-o", "json"); !strings.Contains(told, `"expired": true`) {
		t.Errorf("inspect tells %q", told)
	}
}
