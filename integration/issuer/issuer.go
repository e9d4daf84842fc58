// Package issuer makes service account tokens for tests, as the Kubernetes API
// server does: JSON web tokens, signed, bound to an audience, a service account
// and a pod. What checks them is real: give PublicKeyPEM to a Vault's jwt auth
// method.
//
// It never serves anything and knows no cluster. Start with New and Token.
package issuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"time"
)

// Name is the issuer that the tokens name.
const Name = "https://kubernetes.default.svc.cluster.local"

// Issuer signs tokens with a key of its own.
type Issuer struct {
	key       *ecdsa.PrivateKey
	publicPEM string
}

// Claims are what a token says.
type Claims struct {
	// Audience is the one that the token is for.
	Audience string
	// Namespace, ServiceAccount and UID are the service account's.
	Namespace, ServiceAccount, UID string
	// Pod and PodUID are the pod's that the token is bound to.
	Pod, PodUID string
	// Issued is when it is given out; zero means now, or before Expires if that is over.
	Issued time.Time
	// Expires is the end of the token; zero means in an hour.
	Expires time.Time
}

// New returns an Issuer with a new key of the curve P-256.
func New() (*Issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	return &Issuer{key: key, publicPEM: string(block)}, nil
}

// PublicKey is what checks the tokens' signatures.
func (i *Issuer) PublicKey() *ecdsa.PublicKey { return &i.key.PublicKey }

// PublicKeyPEM is PublicKey in PEM.
func (i *Issuer) PublicKeyPEM() string { return i.publicPEM }

// Token returns a signed token (RFC 7519) with the claims that Kubernetes
// writes:
// https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens
func (i *Issuer) Token(claims Claims) (string, error) {
	if claims.Expires.IsZero() {
		claims.Expires = time.Now().Add(time.Hour)
	}
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return "", err
	}
	issued := min(time.Now().Unix(), claims.Expires.Unix()-1)
	if !claims.Issued.IsZero() {
		issued = claims.Issued.Unix()
	}
	payload, err := json.Marshal(map[string]any{
		"iss": Name,
		"aud": []string{claims.Audience},
		"sub": fmt.Sprintf("system:serviceaccount:%s:%s", claims.Namespace, claims.ServiceAccount),
		"exp": claims.Expires.Unix(),
		"iat": issued,
		"nbf": issued,
		"jti": hex.EncodeToString(id),
		"kubernetes.io": map[string]any{
			"namespace":      claims.Namespace,
			"pod":            map[string]any{"name": claims.Pod, "uid": claims.PodUID},
			"serviceaccount": map[string]any{"name": claims.ServiceAccount, "uid": claims.UID},
		},
	})
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"ES256","typ":"JWT"}`)) + "." + encode(payload)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, digest[:])
	if err != nil {
		return "", err
	}
	// RFC 7518, section 3.4: both numbers in 32 bytes each.
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return signed + "." + encode(signature), nil
}
