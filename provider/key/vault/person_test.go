package vault_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/internal/proxy/proxytest"
	"github.com/lanyardhq/lanyard/provider/backend/person"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/key/vault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

func TestAKeyOfACommandIsUsedWithThePersonsToken(t *testing.T) {
	f := newFake(t)
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("VAULT_NAMESPACE", "")
	t.Setenv("VAULT_CACERT", "")
	file := filepath.Join(home, ".vault-token")
	if err := os.WriteFile(file, []byte(f.token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		address, token string
		fields         map[string]any
		want           error
	}{
		"of the environment":           {f.URL, f.token, map[string]any{"key": "kms"}, nil},
		"of the file":                  {f.URL, "", map[string]any{"key": "kms"}, nil},
		"at the settings' own address": {f.URL + "/", "", map[string]any{"key": "kms", "address": f.URL}, nil},
		"that Vault does not accept":   {f.URL, "another", map[string]any{"key": "kms"}, fault.ErrUnauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("VAULT_ADDR", c.address)
			t.Setenv("VAULT_TOKEN", c.token)
			c.fields["binding"], c.fields["retries"] = "associatedData", 0
			opened, err := vault.NewType(vault.Options{Person: person.Vault()}).Open(key.Settings{Fields: c.fields, ByOperator: true})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(opened.Close)
			_, err = opened.Encrypt(t.Context(), node, secret.NewString("v"), scope)
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if _, err := opened.Encrypt(t.Context(), identity.Identity{Namespace: "prod", ServiceAccount: "web"}, secret.NewString("v"), scope); err == nil {
				t.Error("a pod uses the person's token")
			}
		})
	}
	t.Run("and through the person's proxy", func(t *testing.T) {
		via := proxytest.Start(t)
		via.Route = func(string) string { return strings.TrimPrefix(f.URL, "http://") }
		t.Setenv("HTTPS_PROXY", via.URL)
		t.Setenv("VAULT_ADDR", "http://vault.example.com:8200")
		t.Setenv("VAULT_TOKEN", f.token)
		opened, err := vault.NewType(vault.Options{Person: person.Vault()}).Open(key.Settings{Fields: map[string]any{"key": "kms", "binding": "associatedData"}, ByOperator: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(opened.Close)
		if _, err := opened.Encrypt(t.Context(), node, secret.NewString("v"), scope); err != nil || !slices.Equal(via.Requested(), []string{"vault.example.com:8200"}) {
			t.Errorf("error %v, and the proxy was asked for %q", err, via.Requested())
		}
	})
	t.Run("and never sent where only the settings say", func(t *testing.T) {
		for name, fields := range map[string]map[string]any{
			"address: is not the Vault that your token is for": {"key": "kms", "address": "https://elsewhere.example.com"},
			"auth: has no place": {"key": "kms", "auth": map[string]any{"method": "jwt", "jwtFile": "/etc/passwd"}},
			"tls: has no place":  {"key": "kms", "tls": map[string]any{"insecureSkipVerify": true}},
		} {
			t.Setenv("VAULT_ADDR", "https://vault.example.com:8200")
			t.Setenv("VAULT_TOKEN", f.token)
			_, err := vault.NewType(vault.Options{Person: person.Vault()}).Open(key.Settings{Fields: fields, ByOperator: true})
			if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), name) {
				t.Errorf("error %v, want %q", err, name)
			}
		}
		t.Setenv("VAULT_ADDR", "")
		_, err := vault.NewType(vault.Options{Person: person.Vault()}).Open(key.Settings{Fields: map[string]any{"key": "kms", "address": f.URL}, ByOperator: true})
		if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "set VAULT_ADDR") {
			t.Errorf("without VAULT_ADDR: %v", err)
		}
	})
	t.Run("and who has none is told how to log in", func(t *testing.T) {
		t.Setenv("VAULT_ADDR", f.URL)
		t.Setenv("VAULT_TOKEN", "")
		t.Setenv("HOME", t.TempDir())
		opened, err := vault.NewType(vault.Options{Person: person.Vault()}).Open(key.Settings{Fields: map[string]any{"key": "kms"}, ByOperator: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(opened.Close)
		_, err = opened.Encrypt(t.Context(), node, secret.NewString("v"), scope)
		if !errors.Is(err, fault.ErrUnauthenticated) || !strings.Contains(err.Error(), "vault login") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("and where pods are served an address and auth are needed", func(t *testing.T) {
		t.Setenv("VAULT_ADDR", f.URL)
		t.Setenv("VAULT_TOKEN", f.token)
		_, err := vault.NewType(vault.Options{}).Open(key.Settings{Fields: map[string]any{"key": "kms"}, ByOperator: true})
		if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "address: ") || !strings.Contains(err.Error(), "auth.method: ") {
			t.Errorf("error %v", err)
		}
	})
}
