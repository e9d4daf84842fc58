package dialects

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// front stands before a Vault, speaks TLS, and remembers how it was spoken to.
type front struct {
	*httptest.Server
	directory string // ca.crt, tls.crt and tls.key

	mu   sync.Mutex
	last spoken
}

// spoken is how a client spoke to a server.
type spoken struct {
	name      string // what it called the server
	client    bool   // it had a certificate
	namespace string
}

func newFront(t *testing.T, target string) *front {
	t.Helper()
	behind, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(behind)
	f := &front{directory: t.TempDir()}
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.last = spoken{r.TLS.ServerName, len(r.TLS.PeerCertificates) > 0, r.Header.Get("X-Vault-Namespace")}
		f.mu.Unlock()
		r.Header.Del("X-Vault-Namespace") // Vault's community edition has none
		proxy.ServeHTTP(w, r)
	}))
	f.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	f.Config.ErrorLog = log.New(t.Output(), "", 0) // of handshakes that are meant to fail
	f.StartTLS()
	t.Cleanup(f.Close)
	key, err := x509.MarshalPKCS8PrivateKey(f.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"ca.crt":  {Type: "CERTIFICATE", Bytes: f.Certificate().Raw},
		"tls.crt": {Type: "CERTIFICATE", Bytes: f.Certificate().Raw},
		"tls.key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(f.directory, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// Where the operator lets classes say so, each parameter about the connection
// does what it does in the other provider.
func TestVaultParametersOfTheConnection(t *testing.T) {
	server, from := ownVault(t)
	f := newFront(t, server.Address)
	ca, cert, key := filepath.Join(f.directory, "ca.crt"), filepath.Join(f.directory, "tls.crt"), filepath.Join(f.directory, "tls.key")
	n := newNode(t, "vault", fmt.Sprintf(`
policy: {classStores: [127.0.0.0/8]}
stores:
  vault:
    type: vault
    auth: {method: jwt}
    retries: 0
    override:
      address: ["https://127.0.0.1:*"]
      tls.caCertFile: [%[1]s/*]
      tls.caCertDir: [%[1]s]
      tls.serverName: ["*"]
      tls.insecureSkipVerify: ["true"]
      tls.clientCertFile: [%[1]s/tls.crt]
      tls.clientKeyFile: [%[1]s/tls.key]
`, f.directory), from, "vault")
	for name, test := range map[string]struct {
		parameters map[string]string
		want       string // part of the error; empty for none
		seen       spoken
	}{
		"an authority in a file":      {map[string]string{"vaultCACertPath": ca}, "", spoken{}},
		"authorities in a directory":  {map[string]string{"vaultCADirectory": f.directory}, "", spoken{}},
		"both, of which one is wrong": {map[string]string{"vaultCACertPath": ca, "vaultCADirectory": "/nowhere"}, "", spoken{}},
		"no authority":                {nil, "unknown authority", spoken{}},
		"nothing verified":            {map[string]string{"vaultSkipTLSVerify": "true"}, "", spoken{}},
		"another name":                {map[string]string{"vaultCACertPath": ca, "vaultTLSServerName": "example.com"}, "", spoken{name: "example.com"}},
		"a name that is not its own":  {map[string]string{"vaultCACertPath": ca, "vaultTLSServerName": "vault.internal"}, "not vault.internal", spoken{}},
		"a client's certificate":      {map[string]string{"vaultCACertPath": ca, "vaultTLSClientCertPath": cert, "vaultTLSClientKeyPath": key}, "", spoken{client: true}},
		"a certificate without a key": {map[string]string{"vaultCACertPath": ca, "vaultTLSClientCertPath": cert}, "vaultTLSClientCertPath: give vaultTLSClientCertPath and vaultTLSClientKeyPath together", spoken{}},
		"a namespace":                 {map[string]string{"vaultCACertPath": ca, "vaultNamespace": "team/a"}, "", spoken{namespace: "team/a"}},
		"a file that is not listed":   {map[string]string{"vaultCACertPath": "/etc/passwd"}, "vaultCACertPath: the operator's configuration of store vault lets classes give " + f.directory, spoken{}},
	} {
		t.Run(name, func(t *testing.T) {
			class := manifest{}
			class.Spec.Provider = "vault"
			class.Spec.Parameters = map[string]string{
				"roleName": "web", "vaultAddress": f.URL,
				"objects": "- {objectName: user, secretPath: secret/data/db, secretKey: username}",
			}
			for parameter, value := range test.parameters {
				class.Spec.Parameters[parameter] = value
			}
			// Nothing is spoken at all where another case has read the value over
			// the same connection.
			f.mu.Lock()
			f.last = spoken{}
			f.mu.Unlock()
			p := n.pod(t, "shop", "web")
			err := n.mount(t.Context(), p, class)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v, want %q", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := string(p.files(t)["user"].contents); got != "app" {
				t.Errorf("the file holds %q", got)
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.last != test.seen {
				t.Errorf("the server was spoken to as %+v, want %+v", f.last, test.seen)
			}
		})
	}
}
