package cmd

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/provider/config"
)

// A name under override or ignore that the store does not have has no effect, and who
// wrote it believes in one.
func TestOpeningsOfSettingsThatNoStoreHas(t *testing.T) {
	vault := map[string]any{"address": "https://vault:8200", "auth": map[string]any{"method": "kubernetes", "role": "web"}}
	azure := map[string]any{"vault": "shop-kv", "tenantID": "11111111-2222-3333-4444-555555555555", "auth": map[string]any{"clientID": "11111111-2222-3333-4444-666666666666"}}
	for name, c := range map[string]struct {
		store config.Store
		want  string // empty for none
	}{
		"of vault":            {config.Store{Type: "vault", Fields: vault, Override: map[string][]string{"address": {"x"}, "tls.serverName": {"*"}, "timeout": {"*"}, "auth.mount": {"*"}}, Ignore: []string{"tls.caCertFile", "tls.caCertDir", "retries"}}, ""},
		"vault's address":     {config.Store{Type: "vault", Fields: vault, Override: map[string][]string{"adress": {"x"}}}, "stores.s.override.adress: unknown field; did you mean address?"},
		"vault's server name": {config.Store{Type: "vault", Fields: vault, Override: map[string][]string{"tls.servername": {"x"}}}, "stores.s.override.tls.servername: unknown field; did you mean serverName?"},
		"vault's authority":   {config.Store{Type: "vault", Fields: vault, Ignore: []string{"namespace", "tls.caCertPath"}}, "stores.s.ignore[1]: unknown field; did you mean"},
		"a dialect's word":    {config.Store{Type: "vault", Fields: vault, Ignore: []string{"vaultCACertPath"}}, "stores.s.ignore[0]: unknown field"},
		"below what is none":  {config.Store{Type: "vault", Fields: vault, Ignore: []string{"nothing.such"}}, "stores.s.ignore[0]: unknown field"},
		"of azure":            {config.Store{Type: "azure-key-vault", Fields: azure, Override: map[string][]string{"vault": {"*"}, "tenantID": {"*"}}, Ignore: []string{"environmentFile", "auth.clientID"}}, ""},
		"azure's tenant":      {config.Store{Type: "azure-key-vault", Fields: azure, Override: map[string][]string{"tenantId2": {"*"}}}, "stores.s.override.tenantId2: unknown field; did you mean tenantID?"},
		"of aws":              {config.Store{Type: "aws-secrets-manager", Override: map[string][]string{"region": {"*"}}, Ignore: []string{"auth.role"}}, ""},
		"aws's region":        {config.Store{Type: "aws-parameter-store", Override: map[string][]string{"regoin": {"*"}}}, "did you mean region?"},
		"of google":           {config.Store{Type: "google-secret-manager", Override: map[string][]string{"project": {"*"}}}, ""},
		"google's project":    {config.Store{Type: "google-secret-manager", Ignore: []string{"projcet"}}, "did you mean project?"},
		"a file's root":       {config.Store{Type: "file", Allow: []string{"*/*"}, Fields: map[string]any{"root": "/srv"}, Ignore: []string{"rot"}}, "did you mean root?"},
	} {
		t.Run(name, func(t *testing.T) {
			settings := config.Default()
			settings.Stores = map[string]config.Store{"s": c.store}
			e, err := newEngine(settings, prometheus.NewRegistry(), nil)
			if err == nil {
				e.Close()
			}
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
