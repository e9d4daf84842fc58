package cmd

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/internal/proxy/proxytest"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// The operator's stores and those that classes define are called through the proxy of
// the configuration, and what stands under noProxy is not.
func TestTheProxyOfTheConfigurationLeadsToEveryStore(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/login") {
			_, _ = w.Write([]byte(`{"request_id":"1","auth":{"client_token":"t","lease_duration":60}}`))
			return
		}
		_, _ = w.Write([]byte(`{"request_id":"1","data":{"a":"b"}}`))
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	_, port, _ := strings.Cut(address, ":")
	via := proxytest.StartTLS(t)
	via.Route = func(string) string { return address }
	via.Authorization = "Basic dXNlcjpzM2NyM3Q=" // user:s3cr3t
	credentials := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(credentials, []byte("user:s3cr3t\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, variable := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(variable, "http://192.0.2.1:1")
	}
	proxytest.StartNames(t, map[string][]string{"direct.example.com": {"127.0.0.1"}, "direct.example.org": {"127.0.0.1"}})
	e := engineUnder(t, fmt.Sprintf(`
stores:
  named: {type: vault, address: 'http://named.example.com:%[1]s', auth: {method: jwt, role: web}}
  direct: {type: vault, address: 'http://direct.example.com:%[1]s', auth: {method: jwt, role: web}}
proxy: {url: '%[2]s', caCertFile: '%[3]s', credentialsFile: '%[4]s', noProxy: direct.example.com}
`, port, via.URL, via.CACertFile, credentials))
	volume, err := e.Mount(t.Context(), engine.Request{Dialect: "lanyard", Parameters: map[string]string{
		"stores":  "x: {type: vault, address: 'http://own.example.com:" + port + "', auth: {method: jwt, role: web}}",
		"objects": "[{path: a, store: x, key: a}, {path: b, store: named, key: b}, {path: c, store: direct, key: c}]",
	}, Identity: identity.Identity{
		Namespace: "prod", ServiceAccount: "web", Pod: "web-0", PodUID: "u", Tokens: map[string]identity.Token{"vault": {JWT: secret.NewString("jwt"), Expires: time.Now().Add(time.Hour)}},
	}})
	if err != nil || len(volume.Files) != 3 {
		t.Fatalf("%v, %v", volume, err)
	}
	if asked, want := via.Requested(), []string{"named.example.com:" + port, "own.example.com:" + port}; !slices.Equal(asked, want) {
		t.Errorf("the proxy was asked for %q, want %q", asked, want)
	}
}
