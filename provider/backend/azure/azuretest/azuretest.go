// Package azuretest is a server for tests that speaks the wire protocols of
// Azure to the unmodified clients: Key Vault and Managed HSM, the token endpoint
// of Microsoft Entra ID, and the Instance Metadata Service of a machine.
//
// It checks the signatures of service account tokens, issues access tokens that
// it signs and checks in turn, with their audience and their end, keeps
// permissions by client and object, and does the operations of RSA keys for
// real. It can throttle, fail, fall silent, break off and be slow (see Fault),
// and counts its calls. It is no part of the product.
//
// Start with New: Server.Endpoint takes the calls to every vault, whose names
// are told apart by the host that is asked for, as behind a private endpoint.
package azuretest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
)

// Tenant is the tenant that all vaults and applications are in.
const Tenant = "72f988bf-0000-4000-8000-2d7cd011db47"

// LoginName is a name of Entra ID's that the server's certificate has.
const LoginName = "login.vault.example.com"

// Server is Azure. It is safe for concurrent use.
type Server struct {
	// Issuers are those whose tokens Entra ID can verify.
	identitytest.Issuers
	// Counter counts calls by action: "token", "discovery", "metadata",
	// "challenge" for a call without a token, "get secrets", "list keys",
	// "wrapkey" and so on.
	backendtest.Counter
	// Rewriting changes the answers to calls that read values.
	backendtest.Rewriting
	// Logins changes the answers of Entra ID and the metadata service that grant tokens.
	Logins backendtest.Rewriting
	// Clock tells the end of tokens.
	backendtest.Clock

	// Endpoint is the host and port that takes the calls to all vaults.
	Endpoint string
	// Authority is the URL of Entra ID.
	Authority string
	// Metadata is the URL of the Instance Metadata Service.
	Metadata string
	// CACert is the authority that signed the server's certificate, in PEM.
	CACert string

	secure, plain *httptest.Server
	faults        backendtest.Faults[Fault]
	signing       *ecdsa.PrivateKey // of access tokens, which nobody but the server reads

	mu         sync.Mutex
	apps       map[string]*app   // by client ID
	machine    map[string]bool   // the client IDs of the machine's identities
	system     string            // that of the machine's own
	audience   string            // of access tokens, if not what was asked for
	vaults     map[string]*Vault // by host
	challenges map[string]string // by host, where they are not the usual
	pageSize   int
}

// New starts a server on the loopback address that ends with the test.
func New(t testing.TB) *Server { t.Helper(); return NewAt(t, "127.0.0.1") }

// NewAt is New at another IP address of this machine, for those who cannot
// reach its loopback address, such as pods.
func NewAt(t testing.TB, address string) *Server {
	t.Helper()
	return backendtest.Ending(t, Start, address)
}

// Start starts a server for a program that is no test, at an IP address of this
// machine. It ends with Close.
func Start(address string) (*Server, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	s := &Server{
		Issuers: identitytest.Issuers{Own: IssuerName},
		signing: key, pageSize: 25,
		apps: map[string]*app{}, machine: map[string]bool{},
		vaults: map[string]*Vault{}, challenges: map[string]string{},
	}
	certificate, authority, err := serverCertificate(address)
	if err != nil {
		return nil, err
	}
	values := s.Rewriter(http.HandlerFunc(s.serve), func(r *http.Request) bool { return r.Host != s.Endpoint })
	grants := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/token") }
	if s.secure, err = backendtest.NewServer(address, s.Logins.Rewriter(values, grants)); err != nil {
		return nil, err
	}
	s.secure.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	s.secure.EnableHTTP2 = true
	s.secure.StartTLS()
	if s.plain, err = backendtest.NewServer(address, s.Logins.Rewriter(http.HandlerFunc(s.serveMetadata), grants)); err != nil {
		s.secure.Close()
		return nil, err
	}
	s.plain.Start()

	s.Endpoint = strings.TrimPrefix(s.secure.URL, "https://")
	s.Authority = s.secure.URL
	s.Metadata = s.plain.URL
	s.CACert = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Raw}))
	return s, nil
}

// InMemory serves Entra ID and the vaults on connections in memory until the test
// ends, as backendtest.InMemory does.
func (s *Server) InMemory(t testing.TB) backendtest.Dial {
	t.Helper()
	return backendtest.InMemory(t, s.secure.Config.Handler, s.secure.TLS.Clone())
}

// Close ends the server.
func (s *Server) Close() {
	s.secure.Close()
	s.plain.Close()
}

// serverCertificate is one for the address, and for every host that Azure has
// for the server.
func serverCertificate(address string) (tls.Certificate, *x509.Certificate, error) {
	chain, err := newChain("Azure for tests", 0, []string{
		"*.vault.azure.net", "*.managedhsm.azure.net", "*.vault.usgovcloudapi.net", "*.vault.azure.cn", "*.vault.example.com", "vault.example.com", address,
	})
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{chain.Leaf.Raw}, PrivateKey: chain.Key}, chain.Root, nil
}

// serve tells the services apart by the host that is asked for.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	host, _, _ := strings.Cut(r.Host, ":")
	if r.Host == s.Endpoint || host == LoginName {
		s.serveEntra(w, r)
		return
	}
	s.mu.Lock()
	vault := s.vaults[host]
	s.mu.Unlock()
	if vault == nil {
		http.NotFound(w, r)
		return
	}
	s.serveVault(w, r, vault)
}

// SetPageSize sets how many versions a page of a list has; Key Vault's have 25.
func (s *Server) SetPageSize(size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pageSize = size
}
