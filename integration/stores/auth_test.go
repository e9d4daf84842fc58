package stores

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/integration/vaultserver"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
)

func TestKubernetesMethodIsCheckedByTokenReview(t *testing.T) {
	f := newFixture(t, shared)
	api := newTokenReviewer(t)
	mount := f.name + "-kubernetes"
	reviewer := f.podOf(t, "vault", "reviewer").Tokens["vault"].JWT.RevealString()
	f.Must(t, "POST", "sys/auth/"+mount, map[string]any{"type": "kubernetes"})
	f.Must(t, "POST", "auth/"+mount+"/config", map[string]any{
		"kubernetes_host": api.address, "kubernetes_ca_cert": api.caPEM,
		"token_reviewer_jwt": reviewer, "disable_local_ca_jwt": true, "disable_iss_validation": true,
	})
	f.Must(t, "POST", "auth/"+mount+"/role/web", map[string]any{
		"bound_service_account_names": "web", "bound_service_account_namespaces": "prod",
		"audience": "vault", "token_policies": f.name,
	})
	settings := func(role string) map[string]any {
		return map[string]any{"address": f.proxy.Address, "auth": map[string]any{"method": "kubernetes", "mount": mount, "role": role}}
	}
	ref := f.put(t, "db", map[string]any{"a": "b"})
	mustRead(t, open(t, settings("web")), f.pod, ref)
	if got := api.reviews(); len(got) != 1 || got[0].token != f.pod.Tokens["vault"].JWT.RevealString() || got[0].by != "Bearer "+reviewer {
		t.Errorf("the API server was asked for %d reviews, want one of the pod's token", len(got))
	}

	for name, test := range map[string]struct {
		role string
		pod  identity.Identity
		text string
	}{
		"another service account": {"web", f.podOf(t, "prod", "stranger"), `login as role "web" at auth/` + mount},
		"another namespace":       {"web", f.podOf(t, "dev", "web"), "bound_service_account_namespaces"},
		"a role that is not":      {"wbe", f.pod, `role "wbe"`},
		"a token that is revoked": {"web", api.revoked(f.podOf(t, "prod", "web")), "token reviewer"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(t, settings(test.role)).Read(t.Context(), test.pod, ref)
			if !errors.Is(err, fault.ErrUnauthenticated) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("error %v, want not authenticated with %q", err, test.text)
			}
		})
	}
}

func TestMissingAuthMountIsTheSettingsFault(t *testing.T) {
	f := newFixture(t, shared)
	settings := f.settings()
	settings["auth"].(map[string]any)["mount"] = "nowhere"
	_, err := open(t, settings).Read(t.Context(), f.pod, store.Reference{Key: "a/b"})
	if err == nil || !strings.Contains(err.Error(), "auth/nowhere") {
		t.Errorf("error %v does not name the mount", err)
	}
}

// appRole makes a role and returns its role ID and a secret ID.
func (f *fixture) appRole(t *testing.T) (mount, roleID, secretID string) {
	t.Helper()
	mount = f.name + "-approle"
	f.Must(t, "POST", "sys/auth/"+mount, map[string]any{"type": "approle"})
	f.Must(t, "POST", "auth/"+mount+"/role/web", map[string]any{"token_policies": f.name})
	roleID, _ = f.Must(t, "GET", "auth/"+mount+"/role/web/role-id", nil).Data["role_id"].(string)
	secretID, _ = f.Must(t, "POST", "auth/"+mount+"/role/web/secret-id", nil).Data["secret_id"].(string)
	return mount, roleID, secretID
}

func TestAppRoleOfTheNode(t *testing.T) {
	f := newFixture(t, shared)
	mount, roleID, secretID := f.appRole(t)
	ref := f.put(t, "db", map[string]any{"a": "b"})
	file := write(t, "secret-id", secretID+"\n")
	s := open(t, map[string]any{"address": f.proxy.Address, "auth": map[string]any{
		"method": "approle", "mount": mount, "roleID": roleID, "secretIDFile": file,
	}})
	mustRead(t, s, f.pod, ref)
	mustRead(t, s, f.podOf(t, "prod", "other"), ref)
	if got := f.proxy.Count(http.MethodPost, "auth/"+mount+"/login"); got != 1 {
		t.Errorf("%d logins of the node, want 1", got)
	}
}

func TestAppRoleOfThePod(t *testing.T) {
	f := newFixture(t, shared)
	mount, roleID, secretID := f.appRole(t)
	ref := f.put(t, "db", map[string]any{"a": "b"})
	s := open(t, map[string]any{"address": f.proxy.Address, "auth": map[string]any{
		"method": "approle", "mount": mount, "roleIDCredential": "role-id", "secretIDCredential": "secret-id",
	}})
	pod := f.pod
	pod.Credentials = map[string]secret.Bytes{"role-id": secret.NewString(roleID), "secret-id": secret.NewString(secretID)}
	mustRead(t, s, pod, ref)
	if _, err := s.Read(t.Context(), f.pod, ref); !errors.Is(err, fault.ErrUnauthenticated) || !strings.Contains(err.Error(), "nodePublishSecretRef") {
		t.Errorf("a pod without credentials: %v", err)
	}
	pod.Credentials = map[string]secret.Bytes{"role-id": secret.NewString(roleID), "secret-id": secret.NewString("planted-guess")}
	if _, err := s.Read(t.Context(), pod, ref); !errors.Is(err, fault.ErrUnauthenticated) || strings.Contains(err.Error(), "planted") {
		t.Errorf("a pod with a wrong secret ID: %v", err)
	}
}

func TestTokenFile(t *testing.T) {
	f := newFixture(t, shared)
	ref := f.put(t, "db", map[string]any{"a": "b"})
	token := f.Must(t, "POST", "auth/token/create", map[string]any{"policies": []string{f.name, "default"}, "ttl": "1h"}).Auth.ClientToken
	file := write(t, "token", token)
	s := open(t, map[string]any{"address": f.proxy.Address, "auth": map[string]any{"method": "tokenFile", "tokenFile": file}})
	mustRead(t, s, f.pod, ref)

	// Whoever owns the file replaces the token.
	next := f.Must(t, "POST", "auth/token/create", map[string]any{"policies": []string{f.name, "default"}}).Auth.ClientToken
	if err := os.WriteFile(file, []byte(next), 0o600); err != nil {
		t.Fatal(err)
	}
	f.Must(t, "POST", "auth/token/revoke", map[string]any{"token": token})
	mustRead(t, s, f.pod, ref)
	s.Close()
	if got := f.proxy.Count("", "auth/token/revoke-self"); got != 0 {
		t.Error("Close revoked a token that is someone else's")
	}

	for name, content := range map[string]string{"empty": "\n", "not a token": "planted-guess"} {
		t.Run(name, func(t *testing.T) {
			s := open(t, map[string]any{"address": f.proxy.Address, "auth": map[string]any{"method": "tokenFile", "tokenFile": write(t, "token", content)}})
			if _, err := s.Read(t.Context(), f.pod, ref); !errors.Is(err, fault.ErrUnauthenticated) || strings.Contains(err.Error(), "planted") {
				t.Errorf("error %v, want not authenticated", err)
			}
		})
	}
}

func TestCertificateOfTheNode(t *testing.T) {
	authority := newAuthority(t)
	serverCert, serverKey := authority.issue(t, "vault.example.com")
	clientCert, clientKey := authority.issue(t, "node")
	f := newFixture(t, vaultserver.New(t, vaultserver.Options{CertFile: serverCert, KeyFile: serverKey, RootCA: []byte(authority.pem)}))
	f.Must(t, "POST", "sys/auth/cert", map[string]any{"type": "cert"})
	f.Must(t, "POST", "auth/cert/certs/node", map[string]any{"certificate": authority.pem, "allowed_common_names": "node", "token_policies": f.name})
	ref := f.put(t, "db", map[string]any{"a": "b"})
	settings := func(tls map[string]any) map[string]any {
		return map[string]any{"address": f.Address, "tls": tls, "auth": map[string]any{"method": "cert", "certRole": "node"}}
	}
	caFile := write(t, "ca.crt", authority.pem)
	for name, ca := range map[string]map[string]any{
		"authority inline":       {"caCert": authority.pem},
		"authority in a file":    {"caCertFile": caFile},
		"authority in directory": {"caCertDir": filepath.Dir(caFile)},
		"nothing verified":       {"insecureSkipVerify": true},
	} {
		t.Run(name, func(t *testing.T) {
			ca["clientCertFile"], ca["clientKeyFile"] = clientCert, clientKey
			mustRead(t, open(t, settings(ca)), f.pod, ref)
		})
	}
	t.Run("authority unknown", func(t *testing.T) {
		_, err := open(t, settings(map[string]any{"clientCertFile": clientCert, "clientKeyFile": clientKey})).Read(t.Context(), f.pod, ref)
		if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "tls.caCert") {
			t.Errorf("error %v does not name the setting", err)
		}
	})
	t.Run("server of another name", func(t *testing.T) {
		_, err := open(t, settings(map[string]any{"caCert": authority.pem, "serverName": "other", "clientCertFile": clientCert, "clientKeyFile": clientKey})).Read(t.Context(), f.pod, ref)
		if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "tls.serverName") {
			t.Errorf("error %v does not name the setting", err)
		}
	})
	t.Run("certificate of another", func(t *testing.T) {
		cert, key := authority.issue(t, "stranger")
		_, err := open(t, settings(map[string]any{"caCert": authority.pem, "clientCertFile": cert, "clientKeyFile": key})).Read(t.Context(), f.pod, ref)
		if !errors.Is(err, fault.ErrUnauthenticated) {
			t.Errorf("error %v, want not authenticated", err)
		}
	})
}

// write makes a file and returns its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
