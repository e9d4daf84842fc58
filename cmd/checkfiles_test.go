package cmd

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A configuration is checked where it is written, and the files that it names are on the
// nodes.
func TestCheckPassesOverFilesThatOnlyTheNodeHas(t *testing.T) {
	dir := t.TempDir()
	configuration := filepath.Join(dir, "lanyard.yaml")
	const node = "/nonexistent/lanyard/"
	text := strings.ReplaceAll(`cluster: prod
stores:
  sealed: {type: sealed, keyRing: NODE/keyring}
  vault: {type: vault, address: "https://vault:8200", tls: {caCertFile: NODE/ca.pem}, auth: {method: kubernetes, role: web}}
  agents: {type: vault, allow: ["*/*"], address: "https://vault:8200", tls: {caCertDir: NODE/cas, clientCertFile: NODE/c.pem, clientKeyFile: NODE/k.pem}, auth: {method: cert}}
  token: {type: vault, allow: ["*/*"], address: "https://vault:8200", auth: {method: tokenFile, tokenFile: NODE/token}}
  azure: {type: azure-key-vault, vault: shop-kv, cloud: AzureStackCloud, environmentFile: NODE/cloud.json}
  google: {type: google-secret-manager, allow: ["*/*"], project: shop-1, auth: {method: keyFile, keyFile: NODE/key.json}}
  files: {type: file, allow: ["*/*"], root: NODE/files}
cache: {versionKeyFile: NODE/versions}
`, "NODE/", node)
	if err := os.WriteFile(configuration, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	class := filepath.Join(dir, "web.yaml")
	run := func(objects string) (int, string, string) {
		t.Helper()
		manifest := "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: a, namespace: shop}\nspec:\n  provider: lanyard\n  parameters:\n    objects: |\n"
		for _, line := range strings.Split(objects, "\n") {
			manifest += "      " + line + "\n"
		}
		if err := os.WriteFile(class, []byte(manifest), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errors bytes.Buffer
		code := Execute([]string{"check", "--config", configuration, class}, strings.NewReader(""), &out, &errors)
		return code, out.String(), errors.String()
	}

	code, out, errors := run("- {path: a, store: vault, key: secret/data/a}\n- {path: b, store: agents, key: secret/data/b}\n- {path: c, store: azure, key: secrets/c}\n- {path: d, store: files, key: d}\n- {path: e, store: token, key: secret/data/e}\n- {path: f, store: google, key: f}")
	if code != exitOK || out != "" || strings.Count(errors, "note: ") != 1 || !strings.Contains(errors, "no problems") {
		t.Errorf("exit %d, %s%s", code, out, errors)
	}
	for _, file := range []string{"keyring", "ca.pem", "cas", "c.pem", "k.pem", "cloud.json", "versions"} {
		if !strings.Contains(errors, node+file) {
			t.Errorf("the note does not name %s: %s", file, errors)
		}
	}
	if code, out, _ = run("- {path: a, store: vautl, key: secret/data/a}\n- {path: b, store: agents, key: /b}"); code != exitFailed || !strings.Contains(out, "did you mean vault?") || strings.Count(out, "\n") != 2 {
		t.Errorf("exit %d, %s", code, out)
	}
	// What is here is checked.
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(configuration, []byte(strings.ReplaceAll(text, node+"ca.pem", filepath.Join(dir, "ca.pem"))), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errors = run("- {path: a, store: vault, key: secret/data/a}"); code != exitFailed || !strings.Contains(out, "stores.vault.tls.caCertFile") {
		t.Errorf("exit %d, %s%s", code, out, errors)
	}
}
