package gcptest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// keySet are the keys of an issuer of tokens.
type keySet []any

// Provider is a workload identity pool's provider.
type Provider struct {
	// Pool is the pool's name, such as shop.svc.id.goog.
	Pool string
	// Issuer is whose tokens it accepts, and TokenAudience for whom they are.
	Issuer, TokenAudience string
}

// GKE is the audience of the exchange for a GKE cluster of the project.
// https://cloud.google.com/kubernetes-engine/docs/concepts/workload-identity
func GKE(project, location, name string) string {
	return fmt.Sprintf("identitynamespace:%[1]s.svc.id.goog:https://container.googleapis.com/v1/projects/%[1]s/locations/%[2]s/clusters/%[3]s", project, location, name)
}

// PutProvider makes or replaces the provider that the audience of an exchange
// names.
func (s *Server) PutProvider(audience string, provider Provider) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.providers[audience] = provider
}

// Trust accepts the tokens that name the issuer and are signed with the key.
func (s *Server) Trust(issuer string, key crypto.PublicKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trusted[issuer] = append(s.trusted[issuer], key)
}

// TrustKeySet is Trust for the keys of a JSON web key set (RFC 7517), which an
// API server publishes at /openid/v1/jwks.
func (s *Server) TrustKeySet(issuer string, set []byte) error {
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(set, &keys); err != nil {
		return fmt.Errorf("the key set is not one: %w", err)
	}
	for _, key := range keys.Keys {
		s.Trust(issuer, key.Key)
	}
	return nil
}

// Workload is what IAM policies call the pods of a service account.
// https://cloud.google.com/iam/docs/principal-identifiers
func Workload(pool, namespace, serviceAccount string) string {
	return "principal://" + pool + "/subject/ns/" + namespace + "/sa/" + serviceAccount
}

// exchange is the Security Token Service (RFC 8693).
// https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token
func (s *Server) exchange(w http.ResponseWriter, r *http.Request) {
	if s.answered(w, "token") {
		return
	}
	for name, want := range map[string]string{
		"grant_type":           "urn:ietf:params:oauth:grant-type:token-exchange",
		"requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
		"subject_token_type":   "urn:ietf:params:oauth:token-type:jwt",
		"scope":                "https://www.googleapis.com/auth/cloud-platform",
	} {
		if got := r.PostFormValue(name); got != want {
			refuse(w, "invalid_request", "Invalid value for "+name)
			return
		}
	}
	s.mu.Lock()
	provider, known := s.providers[r.PostFormValue("audience")]
	s.mu.Unlock()
	if !known {
		refuse(w, "invalid_target", "The target service indicated by the \"audience\" parameters is invalid. This might either be because the pool or provider is disabled or deleted or because it doesn't exist.")
		return
	}
	subject, problem := s.verify(r.PostFormValue("subject_token"), provider)
	if problem != "" {
		refuse(w, "invalid_grant", problem)
		return
	}
	account := strings.Split(strings.TrimPrefix(subject, "system:serviceaccount:"), ":")
	if len(account) != 2 {
		refuse(w, "invalid_grant", "The subject is no service account.")
		return
	}
	s.mu.Lock()
	text, expires := s.grant(Workload(provider.Pool, account[0], account[1]))
	s.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{
		"access_token": text, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
		"token_type": "Bearer", "expires_in": seconds(expires),
	})
}

func seconds(expires time.Time) int {
	return max(1, int(time.Until(expires).Round(time.Second).Seconds()))
}

// verify returns the subject of a token that the provider accepts, or why it
// does not.
func (s *Server) verify(raw string, provider Provider) (subject, problem string) {
	parsed, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		return "", "The provided credential is not a valid JWT."
	}
	s.mu.Lock()
	keys := s.trusted[provider.Issuer]
	s.mu.Unlock()
	var claims jwt.Claims
	verified := false
	for _, key := range keys {
		verified = verified || parsed.Claims(key, &claims) == nil
	}
	switch {
	case !verified:
		return "", "Error connecting to the given credential's issuer, or the signature is invalid."
	case claims.Issuer != provider.Issuer:
		return "", "The issuer in ID Token " + claims.Issuer + " does not match the expected ones."
	case !claims.Audience.Contains(provider.TokenAudience):
		return "", fmt.Sprintf("The audience in ID Token %v does not match the expected audience.", []string(claims.Audience))
	case claims.Expiry == nil || !time.Now().Before(claims.Expiry.Time()):
		return "", "ID Token is stale to sign-in."
	}
	return claims.Subject, ""
}

// Issuer makes service account tokens that a server trusts, for tests that have
// no other issuer.
type Issuer struct{ signer jose.Signer }

// IssuerName is the issuer that the tokens of an Issuer name.
const IssuerName = "https://container.googleapis.com/v1/projects/shop/locations/europe-west3/clusters/one"

// NewIssuer returns an Issuer whose tokens the server trusts.
func (s *Server) NewIssuer(t testing.TB) *Issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Trust(IssuerName, &key.PublicKey)
	return &Issuer{signer: signer}
}

// Token is a token of a service account for the audience.
func (i *Issuer) Token(t testing.TB, namespace, serviceAccount, audience string, expires time.Time) string {
	t.Helper()
	raw, err := jwt.Signed(i.signer).Claims(map[string]any{
		"iss": IssuerName, "aud": []string{audience}, "exp": expires.Unix(),
		"sub": "system:serviceaccount:" + namespace + ":" + serviceAccount,
		"kubernetes.io": map[string]any{
			"namespace": namespace, "serviceaccount": map[string]any{"name": serviceAccount, "uid": "uid-of-" + namespace + "-" + serviceAccount},
		},
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
