// Package gcptest is a server for tests that speaks the wire protocols of Google
// Cloud to the official clients: Secret Manager and Cloud KMS over gRPC with the
// generated stubs, and over REST the Security Token Service, the IAM Service Account
// Credentials API, the OAuth token endpoint and a node's metadata server.
//
// It checks the tokens of service accounts and the assertions of keys for real,
// keeps principals apart, ends access tokens in time, and serves global and
// regional secrets at different endpoints. It can throttle, fail, damage what it
// sends, fall silent and be slow (see Fault), and counts its calls. It is no
// part of the product.
//
// Start with New and Server.Settings.
package gcptest

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/kms/apiv1/kmspb"
	"cloud.google.com/go/parametermanager/apiv1/parametermanagerpb"
	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/test/bufconn"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
)

// Server is Google Cloud. It is safe for concurrent use.
type Server struct {
	// Issuers are those whose tokens a workload identity pool may believe.
	identitytest.Issuers
	// Counter counts calls by method: "AccessSecretVersion", "token" (STS),
	// "generateAccessToken", "assertion" (OAuth) or "metadata".
	backendtest.Counter
	// Rewriting changes the answers to calls that read values.
	backendtest.Rewriting
	// Logins changes the answers that grant tokens, for requests whose paths end with
	// LoginsAt.
	Logins   backendtest.Rewriting
	LoginsAt string

	// Endpoint and RegionalEndpoint are those of Secret Manager and Cloud KMS;
	// Identity is that of all other services.
	Endpoint, RegionalEndpoint, Identity string
	// Authority is who signed the server's certificates, in PEM; empty for a
	// server without TLS.
	Authority string

	kms      *keyManagement
	identity *httptest.Server
	grpc     []*grpc.Server
	served   sync.WaitGroup
	faults   backendtest.Faults[Fault]

	mu         sync.Mutex
	providers  map[string]Provider        // by audience
	accounts   map[string]*account        // service accounts by e-mail address
	tokens     map[string]*token          // access tokens
	life       time.Duration              // of access tokens
	secrets    map[string]*Secret         // by resource name, with the project's number
	parameters map[string]parameter       // versions by resource name, in the same way
	grants     map[string]map[string]bool // principals by resource
	node       string                     // the account of the metadata server
	cluster    [3]string                  // project, location, name
}

// token is an access token.
type token struct {
	principal string
	expires   time.Time
}

// New starts a server on the loopback address without TLS that ends with the
// test.
func New(t testing.TB) *Server { t.Helper(); return NewAt(t, "127.0.0.1") }

// NewAt is New at another IP address of this machine, for those who cannot
// reach its loopback address, such as pods.
func NewAt(t testing.TB, address string) *Server {
	t.Helper()
	return backendtest.Ending(t, Start, address)
}

// NewTLS starts a server with TLS, whose certificates Authority has signed.
func NewTLS(t testing.TB) *Server {
	t.Helper()
	return backendtest.Ending(t, startTLS, "127.0.0.1")
}

// Start starts a server without TLS for a program that is no test, at an IP
// address of this machine. It ends with Close.
func Start(address string) (*Server, error) { return start(address, false) }

func startTLS(address string) (*Server, error) { return start(address, true) }

func start(address string, secure bool) (*Server, error) {
	s := &Server{
		Issuers: identitytest.Issuers{Own: IssuerName},
		life:    time.Hour, providers: map[string]Provider{}, accounts: map[string]*account{},
		tokens: map[string]*token{}, secrets: map[string]*Secret{}, parameters: map[string]parameter{}, grants: map[string]map[string]bool{},
	}
	s.kms = &keyManagement{Server: s, keys: map[string]*cryptoKey{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/token", s.exchange)
	mux.HandleFunc("POST /v1/projects/-/serviceAccounts/{call}", s.generateAccessToken)
	mux.HandleFunc("POST /token", s.assertion)
	mux.HandleFunc("GET /computeMetadata/v1/{path...}", s.metadata)
	var err error
	if s.identity, err = backendtest.NewServer(address, s.Logins.Rewriter(mux, func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, s.LoginsAt) })); err != nil {
		return nil, err
	}
	if secure {
		s.identity.StartTLS()
		s.Authority = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.identity.Certificate().Raw}))
	} else {
		s.identity.Start()
	}
	s.Identity = s.identity.URL
	if s.Endpoint, err = s.serveGRPC(address, false); err == nil {
		s.RegionalEndpoint, err = s.serveGRPC(address, true)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// InMemory serves Secret Manager and Cloud KMS at Endpoint, and the other services at
// Identity, on connections in memory until the test ends, as backendtest.InMemory
// does. There is no TLS.
func (s *Server) InMemory(t testing.TB) backendtest.Dial {
	t.Helper()
	identity := backendtest.InMemory(t, s.identity.Config.Handler, nil)
	listener, server := bufconn.Listen(64<<10), s.newGRPC(false)
	go func() { _ = server.Serve(listener) }() //nolint:errcheck // it ends with Stop
	t.Cleanup(server.Stop)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if "http://"+address == s.Endpoint {
			return listener.DialContext(ctx)
		}
		return identity(ctx, network, address)
	}
}

// Close ends the server.
func (s *Server) Close() {
	s.identity.Close()
	s.Stop()
	s.served.Wait()
}

// serveGRPC serves Secret Manager and Cloud KMS at a port of their own and
// returns their endpoint.
func (s *Server) serveGRPC(address string, regional bool) (endpoint string, err error) {
	listener, err := backendtest.Listen(address)
	if err != nil {
		return "", err
	}
	scheme, options := "http://", []grpc.ServerOption(nil)
	if s.identity.TLS != nil {
		scheme = "https://"
		options = append(options, grpc.Creds(credentials.NewServerTLSFromCert(&s.identity.TLS.Certificates[0])))
	}
	server := s.newGRPC(regional, options...)
	s.grpc = append(s.grpc, server)
	s.served.Go(func() { _ = server.Serve(listener) }) //nolint:errcheck // it ends with Stop
	return scheme + listener.Addr().String(), nil
}

// newGRPC returns a server of Secret Manager and Cloud KMS.
func (s *Server) newGRPC(regional bool, options ...grpc.ServerOption) *grpc.Server {
	server := grpc.NewServer(append(options, grpc.UnaryInterceptor(s.rewrite))...)
	secretmanagerpb.RegisterSecretManagerServiceServer(server, &secretManager{Server: s, regional: regional})
	parametermanagerpb.RegisterParameterManagerServer(server, &parameterManager{Server: s, regional: regional})
	kmspb.RegisterKeyManagementServiceServer(server, s.kms)
	return server
}

// Stop makes Secret Manager unreachable for good.
func (s *Server) Stop() {
	for _, server := range s.grpc {
		server.Stop()
	}
}

// Settings are those of a store that reads from the server as the pod, with a
// token of the provider's audience.
func (s *Server) Settings(audience string) map[string]any {
	return map[string]any{
		"endpoint": s.Endpoint, "regionalEndpoint": s.RegionalEndpoint,
		"parameters": map[string]any{"endpoint": s.Endpoint, "regionalEndpoint": s.RegionalEndpoint},
		"auth": map[string]any{
			"audience": audience, "stsEndpoint": s.Identity, "iamEndpoint": s.Identity,
			"oauthEndpoint": s.Identity, "metadataEndpoint": s.Identity,
		},
	}
}

// SetTokenLife sets how long the access tokens live that are granted from now
// on; it begins with an hour.
func (s *Server) SetTokenLife(life time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life = life
}

// RevokeTokens ends all access tokens that were granted so far.
func (s *Server) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, granted := range s.tokens {
		granted.expires = time.Time{}
	}
}

// grant makes an access token for a principal. The lock is held.
func (s *Server) grant(principal string) (text string, expires time.Time) {
	text = "ya29." + base64.RawURLEncoding.EncodeToString(backendtest.Random(32))
	expires = time.Now().Add(s.life)
	s.tokens[text] = &token{principal, expires}
	return text, expires
}

// principal is whose an access token is, in the form of IAM policies; empty if
// it is nobody's or has ended. The lock is held.
func (s *Server) principal(text string) string {
	granted := s.tokens[text]
	if granted == nil || !time.Now().Before(granted.expires) {
		return ""
	}
	return granted.principal
}
