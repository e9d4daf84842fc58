package keytest

import (
	"slices"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/internal/proxy"
	"github.com/lanyardhq/lanyard/internal/proxy/proxytest"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// Network checks that the calls of a key, its logins included, go through the proxy
// that the operator says, and that the environment has no say. The addresses in the
// fixture's settings are those of servers at 127.0.0.1, which also answer to name.
func Network(t *testing.T, name string, fixture func(t *testing.T) *Fixture) {
	const double = "127.0.0.1"
	for _, variable := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		t.Setenv(variable, "http://192.0.2.1:1")
	}
	t.Setenv("NO_PROXY", "*")
	f := fixture(t)
	via := proxytest.StartTLS(t)
	via.Route = func(address string) string { return strings.ReplaceAll(address, name, double) }
	f.Settings.Proxy = proxy.Settings{URL: via.URL, CACertFile: via.CACertFile}
	f.Settings.Fields = proxytest.Replace(f.Settings.Fields, func(setting, value string) string {
		if strings.HasSuffix(setting, "metadataEndpoint") {
			return value // it is the node's own
		}
		return strings.ReplaceAll(value, double, name)
	})
	opened, err := f.Type.Open(f.Settings)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer opened.Close()
	const plaintext = "through the proxy"
	encrypted, err := opened.Encrypt(t.Context(), f.Identity, secret.NewString(plaintext), scope)
	if err != nil {
		t.Fatalf("Encrypt: %v", err)
	}
	got, err := opened.Decrypt(t.Context(), f.Identity, encrypted, scope)
	if err != nil || got.RevealString() != plaintext {
		t.Errorf("Decrypt: %v", err)
	}
	if requested := via.Requested(); len(requested) == 0 || slices.ContainsFunc(requested, func(address string) bool { return strings.HasPrefix(address, double) }) {
		t.Errorf("the proxy was asked for %q", requested)
	}
}
