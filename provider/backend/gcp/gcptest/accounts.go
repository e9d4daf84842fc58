package gcptest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// account is a service account of Google's.
type account struct {
	users []string // principals that may act as it
	keys  map[string]*rsa.PublicKey
}

// Account is what IAM policies call a service account of Google's.
func Account(email string) string { return "serviceAccount:" + email }

// PutAccount makes a service account that the principals may act as.
func (s *Server) PutAccount(email string, users ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts[email] = &account{users: users, keys: map[string]*rsa.PublicKey{}}
}

// NewKey makes a key of a service account, as the file that Google writes.
// https://cloud.google.com/iam/docs/keys-create-delete#creating
func (s *Server) NewKey(t testing.TB, email string) []byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	const id = "0123456789abcdef"
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "shop", "private_key_id": id, "client_email": email,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})),
		"token_uri":   "https://example.com/never-asked",
	})
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.accounts[email] == nil {
		s.accounts[email] = &account{keys: map[string]*rsa.PublicKey{}}
	}
	s.accounts[email].keys[id] = &key.PublicKey
	return text
}

// generateAccessToken is the IAM Service Account Credentials API.
// https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken
func (s *Server) generateAccessToken(w http.ResponseWriter, r *http.Request) {
	email, ok := strings.CutSuffix(r.PathValue("call"), ":generateAccessToken")
	if !ok {
		http.NotFound(w, r)
		return
	}
	if s.answered(w, r, "generateAccessToken") {
		return
	}
	var body struct {
		Delegates []string `json:"delegates"`
		Scope     []string `json:"scope"`
		Lifetime  string   `json:"lifetime"`
	}
	err := json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(&body)
	life, bad := time.ParseDuration(body.Lifetime)
	if err != nil || bad != nil || life > time.Hour || len(body.Scope) == 0 {
		fail(w, http.StatusBadRequest, "INVALID_ARGUMENT", "Request contains an invalid argument.")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	caller := s.principal(bearer)
	if caller == "" {
		fail(w, http.StatusUnauthorized, "UNAUTHENTICATED", unauthenticated)
		return
	}
	for _, next := range append(body.Delegates, "projects/-/serviceAccounts/"+email) {
		next = strings.TrimPrefix(next, "projects/-/serviceAccounts/")
		if acts := s.accounts[next]; acts == nil || !slices.Contains(acts.users, caller) {
			fail(w, http.StatusForbidden, "PERMISSION_DENIED", "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).")
			return
		}
		caller = Account(next)
	}
	granted, expires := s.grant(caller)
	answer(w, http.StatusOK, map[string]any{"accessToken": granted, "expireTime": expires.UTC().Format(time.RFC3339)})
}

// assertion is the OAuth token endpoint for keys of service accounts (RFC 7523).
// https://developers.google.com/identity/protocols/oauth2/service-account#httprest
func (s *Server) assertion(w http.ResponseWriter, r *http.Request) {
	if s.answered(w, r, "assertion") {
		return
	}
	if r.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		refuse(w, "unsupported_grant_type", "Invalid grant_type")
		return
	}
	parsed, err := jwt.ParseSigned(r.PostFormValue("assertion"), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil || len(parsed.Headers) != 1 {
		refuse(w, "invalid_grant", "Bad Request")
		return
	}
	var claims, unchecked jwt.Claims
	if err := parsed.UnsafeClaimsWithoutVerification(&unchecked); err != nil {
		refuse(w, "invalid_grant", "Bad Request")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	owner := s.accounts[unchecked.Issuer]
	switch {
	case owner == nil:
		refuse(w, "invalid_grant", "Invalid grant: account not found")
	case owner.keys[parsed.Headers[0].KeyID] == nil || parsed.Claims(owner.keys[parsed.Headers[0].KeyID], &claims) != nil:
		refuse(w, "invalid_grant", "Invalid JWT Signature.")
	case !claims.Audience.Contains("https://oauth2.googleapis.com/token"):
		refuse(w, "invalid_grant", "Invalid audience in JWT.")
	case claims.Expiry == nil || !time.Now().Before(claims.Expiry.Time()):
		refuse(w, "invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.")
	default:
		text, expires := s.grant(Account(claims.Issuer))
		answer(w, http.StatusOK, map[string]any{"access_token": text, "token_type": "Bearer", "expires_in": seconds(expires)})
	}
}

// SetNode sets the service account that the metadata server gives tokens of, and
// the GKE cluster of the node; an empty account has none.
func (s *Server) SetNode(email, project, location, cluster string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.node, s.cluster = email, [3]string{project, location, cluster}
}

// metadata is a node's metadata server.
// https://cloud.google.com/compute/docs/metadata/predefined-metadata-keys
func (s *Server) metadata(w http.ResponseWriter, r *http.Request) {
	if s.answered(w, r, "metadata") {
		return
	}
	w.Header().Set("Metadata-Flavor", "Google")
	if r.Header.Get("Metadata-Flavor") != "Google" {
		http.Error(w, "Missing Metadata-Flavor:Google header.", http.StatusForbidden)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	text := ""
	switch r.PathValue("path") {
	case "project/project-id":
		text = s.cluster[0]
	case "instance/attributes/cluster-location":
		text = s.cluster[1]
	case "instance/attributes/cluster-name":
		text = s.cluster[2]
	case "instance/service-accounts/default/token":
		if s.node != "" {
			granted, expires := s.grant(Account(s.node))
			answer(w, http.StatusOK, map[string]any{"access_token": granted, "token_type": "Bearer", "expires_in": seconds(expires)})
			return
		}
	}
	if text == "" {
		http.NotFound(w, r)
		return
	}
	_, _ = io.WriteString(w, text) //nolint:errcheck // the client has gone
}
