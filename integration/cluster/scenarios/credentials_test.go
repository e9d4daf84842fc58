package scenarios

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/integration/cluster/lab"
	"github.com/lanyardhq/lanyard/integration/vaultserver"
)

// What a pod brings in its nodePublishSecretRef logs in, and neither it nor what
// it reads is in any log or event, also if the login is refused.
func TestCredentialsThatThePodBrings(t *testing.T) {
	s := beside(t)
	s.put("db", map[string]any{"password": "battery-of-credentials"})
	roleID, secretID := s.appRole()
	wrong := strings.Repeat("0123abcd", 4)
	s.apply(`
apiVersion: v1
kind: Secret
metadata: {name: right}
stringData: {role: $role, secret: $secret}
---
apiVersion: v1
kind: Secret
metadata: {name: wrong}
stringData: {role: $role, secret: $wrong}
`, "$role", roleID, "$secret", secretID, "$wrong", wrong)
	s.class("approle", `
    stores: |
      team:
        type: vault
        address: $address
        tls: {caCert: $authority}
        auth: {method: approle, mount: $namespace, roleIDCredential: role, secretIDCredential: secret}
    objects: |
      - {path: password, store: team, key: secret/data/$namespace/db, property: password}
    refresh: 2s
`, "$address", lab.VaultAddress, "$authority", s.authority())

	s.create(pod{Name: "refused", Classes: []string{"approle"}, Credentials: "wrong"})
	s.create(pod{Name: "none", Classes: []string{"approle"}})
	s.start(pod{Name: "web", Classes: []string{"approle"}, Credentials: "right"})
	s.holds("web", "approle", map[string]string{"password": "battery-of-credentials"})
	refusal := s.event("refused", "login", "refused")
	s.event("none", "the pod brings no credential", "nodePublishSecretRef")

	// They go on to work when the kubelet publishes the volume again.
	s.put("db", map[string]any{"password": "changed-credentials"})
	s.becomes("web", "approle", "password", "changed-credentials")

	hidden := []string{roleID, secretID, wrong, "battery-of-credentials", "changed-credentials"}
	for _, text := range hidden {
		hidden = append(hidden, base64.StdEncoding.EncodeToString([]byte(text)))
	}
	if holds, text := holdsAny(refusal, hidden); holds {
		t.Errorf("the event tells %q", text)
	}
	s.must(filepath.WalkDir(s.Logs(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		if holds, err := contains(path, hidden); holds || err != nil {
			t.Errorf("%s holds what is secret: %v", path, err)
		}
		return nil
	}))
}

func holdsAny(text string, parts []string) (bool, string) {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true, part
		}
	}
	return false, ""
}

// appRole makes an AppRole of the scenario's own, at auth/$namespace, that may
// read the scenario's secrets.
func (s *scenario) appRole() (roleID, secretID string) {
	s.t.Helper()
	s.vault(http.MethodPut, "sys/policies/acl/"+s.namespace, map[string]any{
		"policy": fmt.Sprintf(`path "secret/data/%s/*" { capabilities = ["read"] }`, s.namespace),
	})
	mount := "auth/" + s.namespace
	s.vault(http.MethodPost, "sys/"+mount, map[string]any{"type": "approle"})
	s.vault(http.MethodPost, mount+"/role/web", map[string]any{"token_policies": s.namespace})
	var role, secret vaultserver.Answer
	s.must(s.Vault.Call(s.t.Context(), http.MethodGet, mount+"/role/web/role-id", nil, &role))
	s.must(s.Vault.Call(s.t.Context(), http.MethodPost, mount+"/role/web/secret-id", nil, &secret))
	roleID, _ = role.Data["role_id"].(string)
	secretID, _ = secret.Data["secret_id"].(string)
	return roleID, secretID
}
