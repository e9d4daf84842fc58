package stores

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/integration/lanyardserver"
)

// References of bank-vaults in the environment of lanyard exec, with the variables that its
// webhook sets, among them those of the original's own test:
// https://github.com/bank-vaults/internal/blob/main/pkg/injector/vault/injector_test.go
func TestExecReadsReferencesOfBankVaults(t *testing.T) {
	f := newFixture(t, shared)
	transit, pki := f.name+"-transit", f.name+"-pki"
	f.mount(t, transit, "transit", nil)
	f.mount(t, pki, "pki", nil)
	f.policy(t, f.kv1(), f.kv2(), transit, pki)
	for version, data := range []map[string]any{{"username": "superusername1", "password": "secret1"}, {"username": "superusername", "password": "secret", "port": 5432, "a.b": "dotted"}} {
		f.Must(t, "POST", f.kv2()+"/data/account", map[string]any{"data": data, "options": map[string]any{"cas": version}})
	}
	f.Must(t, "POST", f.kv1()+"/account", map[string]any{"password": "of version one"})
	f.Must(t, "POST", transit+"/keys/mykey", nil)
	encrypted := f.Must(t, "POST", transit+"/encrypt/mykey", map[string]any{"plaintext": base64.StdEncoding.EncodeToString([]byte("sealed"))})
	ciphertext := fmt.Sprint(encrypted.Data["ciphertext"])
	f.Must(t, "POST", pki+"/root/generate/internal", map[string]any{"common_name": "root"})
	f.Must(t, "POST", pki+"/roles/web", map[string]any{"allow_any_name": true})

	dir := t.TempDir()
	binary, err := lanyardserver.BuildWith(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	token := filepath.Join(dir, "token")
	jwt := f.pod.Tokens["vault"].JWT
	if err := os.WriteFile(token, jwt.Reveal(), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(environ ...string) (map[string]string, string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), binary, "exec", "--namespace", "prod", "--service-account", "web", "--token", "vault="+token, "--", "/usr/bin/env")
		c.Env = append([]string{"VAULT_ADDR=" + f.Address, "VAULT_PATH=" + f.jwt(), "VAULT_ROLE=web", "VAULT_AUTH_METHOD=jwt", "VAULT_SKIP_VERIFY=false", "VAULT_IGNORE_MISSING_SECRETS=false"}, environ...)
		var stderr bytes.Buffer
		c.Stderr = &stderr
		out, err := c.Output()
		if (err == nil) != (stderr.Len() == 0) {
			t.Errorf("%v, and it told %q", err, stderr.String())
		}
		got := map[string]string{}
		for line := range strings.Lines(string(out)) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			got[name] = value
		}
		return got, stderr.String()
	}

	account := "vault:" + f.kv2() + "/data/account#"
	issue := ">>vault:" + pki + "/issue/web#"
	got, told := run(
		"VAULT_TRANSIT_KEY_ID=mykey", "VAULT_TRANSIT_PATH="+transit,
		"ACCOUNT_PASSWORD_1="+account+"password#1",
		"ACCOUNT_PASSWORD="+account+"password",
		"PORT="+account+"port", "DOTTED="+account+"a.b",
		"KV1=vault:"+f.kv1()+"/account#password",
		"TRANSIT="+ciphertext,
		"TRANSIT_SECRET=>>vault:"+transit+"/decrypt/mykey#${.plaintext | b64dec}#{\"ciphertext\":\""+ciphertext+"\"}",
		"INLINE_SECRET=scheme://${"+account+"username}:${"+account+"password}@127.0.0.1:8080",
		"INLINE_SECRET_EMBEDDED_TEMPLATE=scheme://${"+account+"username}:${"+account+"${.password | urlquery}}@127.0.0.1:8080",
		"SERIAL="+issue+`serial_number#{"common_name":"web","ttl":"1h"}`, "TWO=${"+issue+`serial_number#{"common_name":"web","ttl":"1h"}}__${`+issue+`serial_number#{"common_name":"web","ttl":"1h"}}`,
	)
	for name, want := range map[string]string{
		"ACCOUNT_PASSWORD_1": "secret1", "ACCOUNT_PASSWORD": "secret", "PORT": "5432", "DOTTED": "dotted", "KV1": "of version one",
		"TRANSIT": "sealed", "TRANSIT_SECRET": "sealed",
		"INLINE_SECRET":                   "scheme://superusername:secret@127.0.0.1:8080",
		"INLINE_SECRET_EMBEDDED_TEMPLATE": "scheme://superusername:secret@127.0.0.1:8080",
		"VAULT_ROLE":                      "web",
	} {
		if got[name] != want {
			t.Errorf("%s: %q, want %q; %s", name, got[name], want, told)
		}
	}
	if serial := got["SERIAL"]; serial == "" || got["TWO"] != serial+"__"+serial {
		t.Errorf("one certificate for three references: %q and %q", serial, got["TWO"])
	}

	for reference, want := range map[string]string{
		"vault:" + f.kv2() + "/data/supersecret#password": "Vault has nothing there",
		"vault:" + f.kv2() + "/get/data#data":             "no secret can be there",
		account + "none":                                  "none",
		"vault:" + f.kv1() + "/deny/x#a":                  "permission denied",
		issue + `serial_number#{"ttl":"planted"}`:         "(" + issue + "serial_number#…",
	} {
		if got, told := run("A="+reference, "B="+account+"password"); len(got) > 0 || !strings.Contains(told, want) || strings.Contains(told, "secret1") {
			t.Errorf("%s: %q, %s; want %s", reference, got, told, want)
		}
	}
}
