package azuretest

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
)

// TokenProxy is the proxy of a cluster whose pods are bound to identities: it takes the
// calls for Entra ID, below a path of its own and on connections that ask for its own
// name.
// https://learn.microsoft.com/azure/aks/identity-bindings-concepts
type TokenProxy struct {
	// URL, ServerName and CACertFile are what those who log in are told of it.
	URL, ServerName, CACertFile string
	// Calls counts what it took, and Refused the connections for other names.
	Calls, Refused atomic.Int64
}

// NewTokenProxy starts a proxy before the server's Entra ID that ends with the test.
func (s *Server) NewTokenProxy(t testing.TB) *TokenProxy {
	t.Helper()
	p := &TokenProxy{ServerName: "a0.ests.aks", CACertFile: filepath.Join(t.TempDir(), "ca.crt")}
	chain := NewChain(t, 0, p.ServerName)
	if err := os.WriteFile(p.CACertFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain.Root.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	const path = "/binding"
	entra := http.StripPrefix(path, http.HandlerFunc(s.serve))
	server, err := backendtest.NewServer("127.0.0.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.Calls.Add(1)
		entra.ServeHTTP(w, r)
	}))
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if hello.ServerName != p.ServerName {
			p.Refused.Add(1)
			return nil, errors.New("another name is asked for")
		}
		return &tls.Certificate{Certificate: [][]byte{chain.Leaf.Raw}, PrivateKey: chain.Key}, nil
	}}
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	p.URL = server.URL + path
	return p
}
