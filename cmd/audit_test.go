package cmd_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/audit"
)

// auditFile is a file for --audit, with a chain and what else is given.
func (b *sealBench) auditFile(more string) (settings, trail, key string) {
	b.t.Helper()
	trail, key = filepath.Join(b.dir, "audit.log"), filepath.Join(b.dir, "audit-key")
	if err := os.WriteFile(key, []byte(strings.Repeat("k", 32)), 0o600); err != nil {
		b.t.Fatal(err)
	}
	settings = b.file("audit.yaml", fmt.Sprintf("file: {path: %s}\nchainKeyFile: %s\n%s", trail, key, more))
	return settings, trail, key
}

func (b *sealBench) records(trail string) (all []audit.Record) {
	b.t.Helper()
	for line := range strings.Lines(b.read(trail)) {
		var r audit.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			b.t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func TestSealingAndOpeningHaveRecords(t *testing.T) {
	b := newSealBench(t)
	settings, trail, key := b.auditFile("required: true\n")
	text := strings.TrimSpace(b.seal("planted-value", "--audit", settings))
	if got := b.must(text, append([]string{"unseal", "--key-ring", b.ring, "--audit", settings}, forWeb...)...); got != "planted-value" {
		t.Errorf("unsealed %q", got)
	}
	b.refused(1, "", text, "unseal", "--key-ring", b.ring, "--audit", settings, "-n", "test", "--service-account", "web", "--name", "db/password")
	b.must("", "keygen", "--out", b.ring, "--rotate", "--public-out", b.public)
	class := b.file("web.yaml", "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: web, namespace: prod}\nspec:\n  provider: lanyard\n  parameters:\n    objects: |\n      - path: db/password\n        sealed: "+text+"\n")
	b.must("", "reseal", "--key-ring", b.ring, "--public", b.public, "--audit", settings, class)
	var got []string
	keys := map[string]bool{}
	for _, r := range b.records(trail) {
		got = append(got, fmt.Sprintf("%s %s %s/%s/%s/%s", r.Event, r.Result, r.Cluster, r.Namespace, r.ServiceAccount, r.Object))
		keys[r.KeyID] = true
		if r.User == "" || r.Node == "" || r.KeyID == "" {
			t.Errorf("record %+v", r)
		}
	}
	const scope = " dev/prod/web/db/password"
	want := []string{"seal ok" + scope, "unseal ok" + scope, "unseal denied" + scope, "unseal ok" + scope, "reseal ok" + scope}
	if strings.Join(got, "\n") != strings.Join(want, "\n") || len(keys) != 2 {
		t.Errorf("the trail is\n%s\nwant\n%s\nwith 2 keys, not %d", strings.Join(got, "\n"), strings.Join(want, "\n"), len(keys))
	}
	if content := b.read(trail); strings.Contains(content, "planted") || strings.Contains(content, "lanyard.v1.") {
		t.Errorf("the trail has a value or a ciphertext:\n%s", content)
	}

	got5 := b.must("", "audit", "verify", "--key", key, trail)
	known, ok := strings.CutPrefix(got5, "records 1 to 5 are whole\nfor the next time: ")
	if !ok {
		t.Fatalf("verify printed %q", got5)
	}
	b.must("", append([]string{"audit", "verify", "--key", key, trail}, strings.Fields(known)...)...)
	if got := b.must("", "audit", "verify", "--key", key, "--last", "5", "-o", "json", trail); !strings.Contains(got, `"records": 5`) {
		t.Errorf("verify printed %q", got)
	}
}

func TestVerifyTellsTheFirstRecordThatIsWrong(t *testing.T) {
	b := newSealBench(t)
	settings, trail, key := b.auditFile("")
	for range 4 {
		b.seal("v", "--audit", settings)
	}
	lines := strings.SplitAfter(b.read(trail), "\n")
	_, hash, _ := strings.Cut(strings.TrimSuffix(lines[3], "\"}\n"), `"hash":"`)
	// The end is cut off while nobody writes, and the chain goes on.
	cut := b.file("cut", lines[0]+lines[1])
	goesOn := b.file("goes-on.yaml", strings.ReplaceAll(b.read(settings), trail, cut))
	b.seal("v", "--audit", goesOn)
	b.seal("w", "--audit", goesOn)
	removed := b.file("removed", lines[0]+lines[2]+lines[3])
	changed := b.file("changed", lines[0]+lines[1]+strings.Replace(lines[2], "prod", "test", 1)+lines[3])
	for _, c := range []struct {
		code  int
		tells string
		args  []string
	}{
		{1, removed + ":2: record 2 is missing", []string{"--key", key, removed}},
		{1, changed + ":3: record 3 was changed", []string{"--key", key, changed}},
		{1, "record 5 is missing", []string{"--key", key, "--last", "9", trail}},
		{0, "", []string{"--key", key, "--last", "4", cut}},
		{0, "", []string{"--key", key, "--last", "4:" + strings.ToUpper(hash), trail}},
		{1, "record 4 is another than the one that was known", []string{"--key", key, "--last", "4:" + hash, cut}},
		{2, "--last: must be the number of a record", []string{"--key", key, "--last", "4:abc", trail}},
		{2, "--last: must be the number of a record", []string{"--key", key, "--last", "0", trail}},
		{2, "--key is missing", []string{trail}},
		{2, "no file is named", []string{"--key", key}},
		{2, "no such file", []string{"--key", key, trail + "-not"}},
		{2, "there is no record", []string{"--key", key, b.file("empty", "")}},
		{2, "permissions 0640 are too open", []string{"--key", b.file("open", strings.Repeat("k", 32)), trail}},
	} {
		code, _, stderr := b.run("", append([]string{"audit", "verify"}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.tells) {
			t.Errorf("%q: exit code %d: %s, want %d and %q", c.args, code, stderr, c.code, c.tells)
		}
	}
}

func TestAuditFilesThatCannotBeUsed(t *testing.T) {
	b := newSealBench(t)
	for name, c := range map[string]struct{ text, tells string }{
		"an unknown field":    {"files: {}\n", "audit.yaml:1: files: unknown field"},
		"nowhere to write":    {"required: false\n", "says nowhere to write to"},
		"a relative path":     {"file: {path: audit.log}\n", "file.path: must be an absolute path"},
		"required and remote": {"webhook: {url: 'https://audit.example.com/'}\nrequired: true\n", "required: needs file.path or stdout"},
		"standard output":     {"stdout: true\n", "has the command's own output"},
		"no directory":        {"file: {path: /nowhere/audit.log}\n", "no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			settings := b.in(t).file("audit.yaml", c.text)
			b.in(t).refused(2, c.tells, "v", append([]string{"seal", "--public", b.public, "--audit", settings}, forWeb...)...)
		})
	}
}
