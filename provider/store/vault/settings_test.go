package vault

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
)

func kubernetes(more map[string]any) map[string]any {
	fields := map[string]any{
		"address": "https://vault.example.com:8200",
		"auth":    map[string]any{"method": "kubernetes", "role": "web"},
	}
	for name, value := range more {
		fields[name] = value
	}
	return fields
}

func TestOpenRefusesWrongSettingsByName(t *testing.T) {
	notPEM := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(notPEM, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		fields     map[string]any
		byOperator bool
		want       []string
	}{
		"nothing":              {map[string]any{}, false, []string{"address: is missing", "auth.method: is missing"}},
		"unknown field":        {kubernetes(map[string]any{"addresz": "x"}), false, []string{"addresz: ", "address"}},
		"no scheme":            {kubernetes(map[string]any{"address": "vault:8200"}), false, []string{"address: must begin with https://"}},
		"user in address":      {kubernetes(map[string]any{"address": "https://u:p4ss@vault:8200"}), false, []string{"address: must not hold a user name"}},
		"v1 in address":        {kubernetes(map[string]any{"address": "https://vault:8200/v1/"}), false, []string{"address: must end before /v1"}},
		"dots in address":      {kubernetes(map[string]any{"address": "https://vault:8200/a/../b"}), false, []string{"address: has a path with other parts"}},
		"escape in address":    {kubernetes(map[string]any{"address": "https://vault:8200/a%2fb%20"}), false, []string{"address: has a path with other parts"}},
		"query in address":     {kubernetes(map[string]any{"address": "https://vault:8200/a?b=c"}), false, []string{"address: must not go beyond the path"}},
		"port without a host":  {kubernetes(map[string]any{"address": "https://:8200"}), false, []string{"address: names no host"}},
		"bad namespace":        {kubernetes(map[string]any{"namespace": "/a b"}), false, []string{"namespace: "}},
		"short timeout":        {kubernetes(map[string]any{"timeout": "1ms"}), false, []string{"timeout: "}},
		"many retries":         {kubernetes(map[string]any{"retries": 100}), false, []string{"retries: "}},
		"method misspelled":    {kubernetes(map[string]any{"auth": map[string]any{"method": "kubernets"}}), false, []string{"auth.method: ", "kubernetes"}},
		"no role":              {kubernetes(map[string]any{"auth": map[string]any{"method": "kubernetes"}}), false, []string{"auth.role: is missing"}},
		"a very long role":     {kubernetes(map[string]any{"auth": map[string]any{"method": "jwt", "role": strings.Repeat("x", 5000)}}), false, []string{"auth.role: is 5000 bytes"}},
		"mount with auth/":     {kubernetes(map[string]any{"auth": map[string]any{"method": "jwt", "mount": "auth/jwt"}}), false, []string{"auth.mount: "}},
		"field of another":     {kubernetes(map[string]any{"auth": map[string]any{"method": "jwt", "roleID": "x"}}), false, []string{"auth.roleID: is not for the method jwt"}},
		"approle incomplete":   {kubernetes(map[string]any{"auth": map[string]any{"method": "approle"}}), false, []string{"auth.roleID: ", "auth.secretIDCredential: "}},
		"approle mixed":        {kubernetes(map[string]any{"auth": map[string]any{"method": "approle", "roleIDCredential": "r", "secretIDFile": "/s"}}), true, []string{"auth.roleIDCredential: "}},
		"JWT file, relative":   {kubernetes(map[string]any{"auth": map[string]any{"method": "jwt", "jwtFile": "jwt"}}), true, []string{"auth.jwtFile: must be the absolute"}},
		"JWT file by class":    {kubernetes(map[string]any{"auth": map[string]any{"method": "jwt", "jwtFile": "/jwt"}}), false, []string{"auth.jwtFile: reads a file of the node"}},
		"JWT file of approle":  {kubernetes(map[string]any{"auth": map[string]any{"method": "approle", "roleID": "r", "secretIDCredential": "s", "jwtFile": "/jwt"}}), true, []string{"auth.jwtFile: is not for the method approle"}},
		"token file, relative": {kubernetes(map[string]any{"auth": map[string]any{"method": "tokenFile", "tokenFile": "token"}}), true, []string{"auth.tokenFile: must be the absolute"}},
		"headers by class":     {kubernetes(map[string]any{"headersFile": "/h"}), false, []string{"headersFile: reads a file of the node"}},
		"headers, relative":    {kubernetes(map[string]any{"headersFile": "h"}), true, []string{"headersFile: must be the absolute"}},
		"headers missing":      {kubernetes(map[string]any{"headersFile": notPEM + "x"}), true, []string{"headersFile: "}},
		"headers, none":        {kubernetes(map[string]any{"headersFile": notPEM}), true, []string{"headersFile: ", "holds no headers"}},
		"token file by class":  {kubernetes(map[string]any{"auth": map[string]any{"method": "tokenFile", "tokenFile": "/token"}}), false, []string{"auth.tokenFile: reads a file of the node"}},
		"secret ID by class":   {kubernetes(map[string]any{"auth": map[string]any{"method": "approle", "roleID": "r", "secretIDFile": "/s"}}), false, []string{"auth.secretIDFile: reads a file"}},
		"cert without one":     {kubernetes(map[string]any{"auth": map[string]any{"method": "cert"}}), true, []string{"auth.method: cert logs in"}},
		"node files by class": {kubernetes(map[string]any{"tls": map[string]any{"caCertFile": "/ca", "clientCertFile": "/c", "clientKeyFile": "/k"}}), false,
			[]string{"tls.caCertFile: ", "tls.clientCertFile: ", "tls.clientKeyFile: "}},
		"half a client pair":  {kubernetes(map[string]any{"tls": map[string]any{"clientCertFile": "/c"}}), true, []string{"tls.clientCertFile: give"}},
		"two authorities":     {kubernetes(map[string]any{"tls": map[string]any{"caCert": "x", "caCertFile": "/ca"}}), true, []string{"tls.caCert: give one"}},
		"authority unused":    {kubernetes(map[string]any{"tls": map[string]any{"caCert": "x", "insecureSkipVerify": true}}), false, []string{"tls.insecureSkipVerify: "}},
		"tls without https":   {kubernetes(map[string]any{"address": "http://vault:8200", "tls": map[string]any{"serverName": "x"}}), false, []string{"tls: has no effect"}},
		"inline not PEM":      {kubernetes(map[string]any{"tls": map[string]any{"caCert": "x"}}), false, []string{"tls.caCert: holds no certificate"}},
		"file not PEM":        {kubernetes(map[string]any{"tls": map[string]any{"caCertFile": notPEM}}), true, []string{"tls.caCertFile: "}},
		"file missing":        {kubernetes(map[string]any{"tls": map[string]any{"caCertFile": notPEM + "x"}}), true, []string{"tls.caCertFile: "}},
		"directory without":   {kubernetes(map[string]any{"tls": map[string]any{"caCertDir": filepath.Dir(notPEM)}}), true, []string{"tls.caCertDir: "}},
		"no client key there": {kubernetes(map[string]any{"tls": map[string]any{"clientCertFile": notPEM, "clientKeyFile": notPEM}}), true, []string{"tls.clientCertFile: "}},
	} {
		t.Run(name, func(t *testing.T) {
			opened, err := NewType(Options{}).Open(store.Settings{Fields: test.fields, ByOperator: test.byOperator})
			if err == nil {
				opened.Close()
				t.Fatal("Open accepted the settings")
			}
			if !errors.Is(err, fault.ErrInvalid) {
				t.Errorf("%v is not fault.ErrInvalid", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "p4ss") {
				t.Errorf("error %q shows the password", err)
			}
		})
	}
}

func TestOnlyNodeCredentialsReadAsNode(t *testing.T) {
	for method, test := range map[string]struct {
		auth map[string]any
		want bool
	}{
		"kubernetes":         {map[string]any{"method": "kubernetes", "role": "web"}, false},
		"jwt":                {map[string]any{"method": "jwt"}, false},
		"jwt by file":        {map[string]any{"method": "jwt", "jwtFile": "/jwt"}, true},
		"kubernetes by file": {map[string]any{"method": "kubernetes", "role": "web", "jwtFile": "/jwt"}, true},
		"approle of the pod": {map[string]any{"method": "approle", "roleID": "r", "secretIDCredential": "secret-id"}, false},
		"approle by file":    {map[string]any{"method": "approle", "roleID": "r", "secretIDFile": "/s"}, true},
		"token file":         {map[string]any{"method": "tokenFile", "tokenFile": "/t"}, true},
	} {
		t.Run(method, func(t *testing.T) {
			settings := store.Settings{Fields: kubernetes(map[string]any{"auth": test.auth}), ByOperator: true}
			if got := NewType(Options{}).ReadsAsNode(settings); got != test.want {
				t.Errorf("ReadsAsNode = %v, want %v", got, test.want)
			}
		})
	}
}

// The variables are those of package api's client and of net/http.
func TestEnvironmentHasNoInfluence(t *testing.T) {
	seen := make(chan *http.Request, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		if strings.HasSuffix(r.URL.Path, "/login") {
			_, _ = w.Write([]byte(`{"auth":{"client_token":"t","lease_duration":60}}`))
			return
		}
		_, _ = w.Write([]byte(`{"request_id":"1","data":{"a":"b"}}`))
	}))
	defer server.Close()
	for name, value := range map[string]string{
		"VAULT_ADDR": "http://192.0.2.1:1", "VAULT_AGENT_ADDR": "http://192.0.2.1:1", "VAULT_TOKEN": "of-the-environment",
		"VAULT_NAMESPACE": "of-the-environment", "VAULT_SKIP_VERIFY": "perhaps", "VAULT_CACERT": "/nonexistent",
		"VAULT_PROXY_ADDR": "http://192.0.2.1:1", "VAULT_HTTP_PROXY": "http://192.0.2.1:1", "VAULT_MAX_RETRIES": "many",
		"VAULT_HEADERS": `{"X-Of":"the-environment"}`, "VAULT_WRAP_TTL": "5m", "VAULT_CLIENT_TIMEOUT": "never",
		"VAULT_RATE_LIMIT": "none", "VAULT_SRV_LOOKUP": "perhaps",
		"HTTP_PROXY": "http://192.0.2.1:1", "HTTPS_PROXY": "http://192.0.2.1:1", "ALL_PROXY": "http://192.0.2.1:1",
	} {
		t.Setenv(name, value)
	}
	opened, err := NewType(Options{}).Open(store.Settings{Fields: kubernetes(map[string]any{"address": server.URL, "retries": 0})})
	if err != nil {
		t.Fatal(err)
	}
	pod := identity.Identity{Tokens: map[string]identity.Token{"vault": {JWT: secret.NewString("jwt")}}}
	if _, err := opened.Read(t.Context(), pod, store.Reference{Key: "kv/a"}); err != nil {
		t.Fatal(err)
	}
	opened.Close()
	close(seen)
	for r := range seen {
		for name := range r.Header {
			if strings.Contains(strings.Join(r.Header[name], ""), "the-environment") || strings.HasPrefix(name, "X-Vault-Wrap") || name == "X-Vault-Namespace" {
				t.Errorf("%s %s carries %s: %s", r.Method, r.URL.Path, name, r.Header[name])
			}
		}
	}
}
