package cmd_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sealKey writes a file that names a key of a key service, whose keys lie in a
// local file, and returns its path.
func (b *sealBench) sealKey(name string) string {
	b.t.Helper()
	local := filepath.Join(b.dir, name+"-local")
	if err := os.WriteFile(local, []byte(base64.StdEncoding.EncodeToString([]byte("a key for the tests of commands!"))+"\n"), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return b.file(name+".yaml", "kind: lanyard.seal-key.v1\nname: "+name+"\ncluster: dev\nservice: {type: local, file: "+local+"}\n")
}

func TestSealsAndUnsealsWithAKeyService(t *testing.T) {
	b := newSealBench(t)
	key := b.sealKey("prod")
	text := strings.TrimSpace(b.must("the value", append([]string{"seal", "--key", key}, forWeb...)...))
	for name, args := range map[string][]string{
		"for the workload":          append([]string{"unseal", "--key", key}, forWeb...),
		"for the holder of the key": {"unseal", "--key", key, "--ignore-scope"},
	} {
		if got := b.must(text, args...); got != "the value" {
			t.Errorf("%s: printed %q", name, got)
		}
	}
	told := b.must(text, "inspect")
	for _, want := range []string{"2 (data key wrapped by a key service", "key: ", "prod", "key version:", "dev", "db/password", "9 bytes"} {
		if !strings.Contains(told, want) {
			t.Errorf("%q does not tell %q", told, want)
		}
	}
	var inspected map[string]any
	if err := json.Unmarshal([]byte(b.must(text, "inspect", "-o", "json")), &inspected); err != nil || inspected["key"] != "prod" || inspected["suite"] != 2.0 || inspected["keyVersion"] == "" {
		t.Errorf("told %v", inspected)
	}
}

func TestSealRefusesKeysOfKeyServices(t *testing.T) {
	b := newSealBench(t)
	key := b.sealKey("prod")
	other := b.sealKey("test")
	text := strings.TrimSpace(b.must("v", append([]string{"seal", "--key", key}, forWeb...)...))
	kind := "kind: lanyard.seal-key.v1\n"
	seal := func(file string) []string { return append([]string{"seal", "--key", file}, forWeb...) }
	for name, c := range map[string]struct {
		code  int
		tells string
		stdin string
		args  []string
	}{
		"two ways to seal":           {2, "two ways", "v", append(seal(key), "--public", b.public)},
		"no way to seal":             {2, "--public is missing", "v", append([]string{"seal"}, forWeb...)},
		"no way to unseal":           {2, "--key-ring is missing", text, []string{"unseal", "--ignore-scope"}},
		"a public key":               {2, "this is a public key, which opens nothing; give a file that names a key of a key service", "v", seal(b.public)},
		"a key for --public":         {2, "this names a key of a key service; give a public key", "v", append([]string{"seal", "--public", key}, forWeb...)},
		"no file":                    {2, "no such file", "v", seal(filepath.Join(b.dir, "none"))},
		"no name":                    {2, "name: must be 1 to 63", "v", seal(b.file("a.yaml", kind+"service: {type: local, file: /k}\n"))},
		"no service":                 {2, "service: is missing", "v", seal(b.file("b.yaml", kind+"name: a\n"))},
		"an unknown service":         {2, "service.type: ", "v", seal(b.file("c.yaml", kind+"name: a\nservice: {type: loca}\n"))},
		"a wrong setting":            {2, "service.file: must be the absolute path", "v", seal(b.file("d.yaml", kind+"name: a\nservice: {type: local, file: k}\n"))},
		"an unknown field":           {2, "names: ", "v", seal(b.file("e.yaml", kind+"names: a\n"))},
		"a key service that refuses": {1, "key a: the key file cannot be read", "v", seal(b.file("f.yaml", kind+"name: a\ncluster: dev\nservice: {type: local, file: /nowhere/keys}\n"))},
		"another key to unseal":      {1, "unknown key", text, []string{"unseal", "--key", other, "--ignore-scope"}},
		"a ring to unseal":           {1, "unknown key", text, []string{"unseal", "--key-ring", b.ring, "--ignore-scope"}},
	} {
		t.Run(name, func(t *testing.T) { b.in(t).refused(c.code, c.tells, c.stdin, c.args...) })
	}
}
