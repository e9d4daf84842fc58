package identitytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Issuer makes service account tokens.
type Issuer struct {
	name   string
	signer jose.Signer
}

// NewIssuer returns an Issuer of the name, with a new key that the others
// trust from then on.
func NewIssuer(t testing.TB, name string, others *Issuers) *Issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	others.Trust(name, &key.PublicKey)
	return &Issuer{name: name, signer: signer}
}

// NewIssuer returns an issuer that is trusted, for tests that have no other.
func (i *Issuers) NewIssuer(t testing.TB) *Issuer {
	t.Helper()
	return NewIssuer(t, i.Own, i)
}

// Subject is what the tokens of a service account, as "namespace/name", name.
func Subject(account string) string {
	return "system:serviceaccount:" + strings.Replace(account, "/", ":", 1)
}

// Account is the service account, as "namespace/name", of a token's subject;
// false if it is none's.
func Account(subject string) (string, bool) {
	account, ok := strings.CutPrefix(subject, "system:serviceaccount:")
	namespace, name, two := strings.Cut(account, ":")
	return namespace + "/" + name, ok && two && !strings.Contains(name, ":")
}

// Token is a token of a service account, as "namespace/name", for the audience.
func (i *Issuer) Token(t testing.TB, account, audience string, expires time.Time) string {
	t.Helper()
	namespace, name, _ := strings.Cut(account, "/")
	raw, err := jwt.Signed(i.signer).Claims(map[string]any{
		"iss": i.name, "aud": []string{audience}, "exp": expires.Unix(), "sub": Subject(account),
		"kubernetes.io": map[string]any{
			"namespace": namespace, "serviceaccount": map[string]any{"name": name, "uid": "uid-of-" + namespace + "-" + name},
		},
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
