package keys

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/cmd"
)

// A developer who has a token of Vault and nothing else seals with lanyard seal
// --key, and the pod opens it with its own login.
func TestADeveloperSealsWithATokenOfVaultAlone(t *testing.T) {
	s := newSealing(t)
	token := s.Must(t, "POST", "auth/token/create", map[string]any{"policies": []string{"default", s.name + "-seal"}, "ttl": "1h"}).Auth.ClientToken
	t.Setenv("VAULT_ADDR", s.proxy.Address)
	t.Setenv("VAULT_TOKEN", token)
	t.Setenv("VAULT_NAMESPACE", "")
	t.Setenv("VAULT_CACERT", "")
	run := func(stdin string, args ...string) (int, string, string) {
		var out, errs bytes.Buffer
		code := cmd.Execute(args, strings.NewReader(stdin), &out, &errs)
		return code, strings.TrimSpace(out.String()), errs.String()
	}
	key := file(t, fmt.Sprintf("kind: lanyard.seal-key.v1\nname: prod\ncluster: test\nservice: {type: vault, mount: %s, key: kms}\n", s.transit()))
	code, text, told := run("value", "seal", "--key", key, "-n", "shop", "--service-account", "web", "--name", "db/password")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, told)
	}
	if err := s.opened(t, s.pod(t, "shop", "web"), text); err != nil {
		t.Error(err)
	}
	if code, out, told := run(text, "unseal", "--key", key, "--ignore-scope"); code != 1 || out != "" || !strings.Contains(told, "permission denied") || strings.Contains(told, token) {
		t.Errorf("who may seal opens: exit code %d: %s %s", code, out, told)
	}
}
