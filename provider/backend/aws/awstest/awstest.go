// Package awstest is a server for tests that speaks the wire protocols of AWS to
// the unmodified SDK: STS, the agent of EKS Pod Identity, Secrets Manager and
// the Parameter Store of Systems Manager, and whatever else a test adds with
// Handle.
//
// It checks signatures of version 4 and the tokens of service accounts for
// real, keeps roles apart, and has as many regions as it is asked for. It can
// throttle, fail, fall silent, break off and be slow, for one region, service or
// action (see Fault), and counts its calls. It is no part of the product.
//
// Start with New; Server.URL is the endpoint of all services and regions, which
// it tells apart by the credential scope of the signature.
package awstest

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
)

// Account is the account that all roles, secrets and parameters are in.
const Account = "111122223333"

// largestBody is the most of a request that is read.
const largestBody = 1 << 20

// Server is AWS. It is safe for concurrent use.
type Server struct {
	// Issuers are those whose tokens of service accounts are believed, as an IAM
	// OIDC provider does for a cluster.
	identitytest.Issuers
	// Counter counts the calls of an action in all regions:
	// "secretsmanager:BatchGetSecretValue", "ssm:GetParameters",
	// "sts:AssumeRoleWithWebIdentity", "agent:GetCredentials".
	backendtest.Counter
	// Rewriting changes the answers to calls that read values.
	backendtest.Rewriting
	// Logins changes the answers of STS, the agent and the metadata service.
	Logins backendtest.Rewriting
	// Clock tells the end of tokens and sessions.
	backendtest.Clock

	// URL is the endpoint of every service in every region.
	URL string

	// Authority is the certificate of the authority, in PEM, of a server over TLS.
	Authority string

	http     *httptest.Server
	handlers map[string]Handler
	regional backendtest.Counter // of calls by region and action
	faults   backendtest.Faults[Fault]

	mu         sync.Mutex
	roles      map[string]Role
	sessions   map[string]*session // by access key ID
	pods       map[string]string   // associations of Pod Identity: role by "namespace/name"
	instance   string              // the ARN of the instance's role
	regions    map[string]*region
	signatures int
	madeLast   float64 // parameters made so far
}

// Role is an IAM role: who may assume it and what it may read.
type Role struct {
	// Accounts are the service accounts, as "namespace/name", that may assume
	// the role with their token or have it by association.
	Accounts []string
	// Roles are the ARNs of the roles that may assume this one.
	Roles []string
	// ExternalID is what those Roles must send to assume it; empty asks for none.
	ExternalID string
	// Tags are the session tags that those Roles must send, as a trust policy has it
	// that allows sts:TagSession with them; without any they may send none.
	Tags map[string]string
	// Reads are the names of secrets, parameters and keys that it may read; a *
	// at the end stands for any text.
	Reads []string
	// Without are actions that it may not call at all, such as
	// "secretsmanager:BatchGetSecretValue".
	Without []string
}

// New starts a server on the loopback address that ends with the test.
func New(t testing.TB) *Server { t.Helper(); return NewAt(t, "127.0.0.1") }

// NewAt is New at another IP address of this machine, for those who cannot
// reach its loopback address, such as pods.
func NewAt(t testing.TB, address string) *Server {
	t.Helper()
	return backendtest.Ending(t, Start, address)
}

// NewTLS is New over TLS. The authority that signed its certificate is in Authority.
func NewTLS(t testing.TB) *Server {
	t.Helper()
	s := backendtest.Ending(t, startTLS, "127.0.0.1")
	s.Authority = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw}))
	return s
}

// Start starts a server for a program that is no test, at an IP address of this
// machine. It ends with Close.
func Start(address string) (*Server, error) { return start(address, (*httptest.Server).Start) }

func startTLS(address string) (*Server, error) { return start(address, (*httptest.Server).StartTLS) }

func start(address string, listen func(*httptest.Server)) (*Server, error) {
	s := &Server{
		Issuers: identitytest.Issuers{Own: IssuerName},
		roles:   map[string]Role{}, sessions: map[string]*session{},
		pods: map[string]string{}, regions: map[string]*region{},
	}
	s.handlers = map[string]Handler{
		"secretsmanager.GetSecretValue":       s.getSecretValue,
		"secretsmanager.BatchGetSecretValue":  s.batchGetSecretValue,
		"secretsmanager.ListSecretVersionIds": s.listSecretVersionIDs,
		"AmazonSSM.GetParameters":             s.getParameters,
		"AmazonSSM.GetParametersByPath":       s.getParametersByPath,
		"AmazonSSM.GetParameterHistory":       s.getParameterHistory,
	}
	var err error
	values := s.Rewriter(s, func(r *http.Request) bool { return r.Header.Get("X-Amz-Target") != "" })
	if s.http, err = backendtest.NewServer(address, s.Logins.Rewriter(values, grants)); err != nil {
		return nil, err
	}
	listen(s.http)
	s.URL = s.http.URL
	return s, nil
}

// Close ends the server.
func (s *Server) Close() { s.http.Close() }

// grants is true of requests for credentials, which are not those for what leads to
// them.
func grants(r *http.Request) bool {
	return r.Header.Get("X-Amz-Target") == "" && r.Method != http.MethodPut && !strings.HasSuffix(r.URL.Path, "/security-credentials/")
}

// ServeHTTP tells the protocols apart.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, largestBody))
	if err != nil {
		return // the client has gone
	}
	switch target := r.Header.Get("X-Amz-Target"); {
	case strings.HasPrefix(r.URL.Path, "/v1/credentials"):
		s.serveAgent(w, r)
	case strings.HasPrefix(r.URL.Path, "/latest/"):
		s.serveMetadata(w, r)
	case target != "":
		s.serveJSON(w, r, target, body)
	default:
		s.serveQuery(w, r, body)
	}
}

// PutRole makes or replaces a role and returns its ARN.
func (s *Server) PutRole(name string, role Role) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	arn := RoleARN(name)
	s.roles[arn] = role
	return arn
}

// RoleARN is the ARN of the role with this name.
func RoleARN(name string) string { return "arn:aws:iam::" + Account + ":role/" + name }

// Associate gives the role to a service account, as "namespace/name", by EKS
// Pod Identity.
func (s *Server) Associate(account, roleARN string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pods[account] = roleARN
}

// ExpireSessions ends all sessions that were granted so far.
func (s *Server) ExpireSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, granted := range s.sessions {
		granted.expires = s.Now().Add(-time.Second)
	}
}

// CallsIn is Calls for the actions of signed services in one region.
func (s *Server) CallsIn(region, action string) int { return s.regional.Calls(region + " " + action) }

// ResetCalls begins to count anew.
func (s *Server) ResetCalls() {
	s.Counter.ResetCalls()
	s.regional.ResetCalls()
}
