package awstest

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

// Trust accepts the tokens that name the issuer and are signed with the key, as
// an IAM OIDC provider does for a cluster.
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

// verifyToken returns the service account, as "namespace/name", of a token that
// is right for the audience.
func (s *Server) verifyToken(raw, audience string) (string, *Error) {
	invalid := func(text string) *Error { return Fail(http.StatusBadRequest, "InvalidIdentityToken", text) }
	token, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		return "", invalid("The ID Token provided is not a valid JWT.")
	}
	var unchecked, claims jwt.Claims
	if err := token.UnsafeClaimsWithoutVerification(&unchecked); err != nil {
		return "", invalid("The ID Token provided is not a valid JWT.")
	}
	s.mu.Lock()
	keys, now := s.trusted[unchecked.Issuer], s.clock()
	s.mu.Unlock()
	if len(keys) == 0 {
		return "", invalid("No OpenIDConnect provider found in your account for " + unchecked.Issuer)
	}
	verified := false
	for _, key := range keys {
		verified = verified || token.Claims(key, &claims) == nil
	}
	switch {
	case !verified:
		return "", invalid("Couldn't retrieve verification key from your identity provider")
	case !claims.Audience.Contains(audience):
		return "", invalid("Incorrect token audience")
	case claims.Expiry == nil || !now.Before(claims.Expiry.Time()):
		return "", Fail(http.StatusBadRequest, "ExpiredTokenException", "Token expired: current date/time must be before the expiration date/time")
	}
	account, ok := strings.CutPrefix(claims.Subject, "system:serviceaccount:")
	if !ok {
		return "", invalid("the token's subject is no service account")
	}
	return strings.Replace(account, ":", "/", 1), nil
}

// Issuer makes service account tokens that a server trusts, for tests that
// have no other issuer.
type Issuer struct {
	key    *ecdsa.PrivateKey
	signer jose.Signer
}

// IssuerName is the issuer that the tokens of an Issuer name.
const IssuerName = "https://oidc.eks.example.com/id/TEST"

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
	return &Issuer{key: key, signer: signer}
}

// Token is a token of a service account, as "namespace/name", for the audience.
func (i *Issuer) Token(t testing.TB, account, audience string, expires time.Time) string {
	t.Helper()
	namespace, name, _ := strings.Cut(account, "/")
	raw, err := jwt.Signed(i.signer).Claims(map[string]any{
		"iss": IssuerName, "aud": []string{audience}, "exp": expires.Unix(),
		"sub": "system:serviceaccount:" + namespace + ":" + name,
		"kubernetes.io": map[string]any{
			"namespace": namespace, "serviceaccount": map[string]any{"name": name, "uid": "uid-of-" + namespace + "-" + name},
		},
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
