// Package identitytest has the two sides of service account tokens for tests:
// an Issuer, which makes them as an API server does, and Issuers, which verify
// them as clouds do. Signatures are real. It is no part of the product.
package identitytest

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Why a token is not believed.
var (
	ErrMalformed     = errors.New("not a signed JSON web token")
	ErrUnknownIssuer = errors.New("its issuer is not trusted")
	ErrSignature     = errors.New("none of its issuer's keys has signed it")
)

// Issuers are the issuers whose tokens are believed, with their keys: the zero
// Issuers are none. It is safe for concurrent use.
type Issuers struct {
	// Own is the name of those that NewIssuer makes.
	Own string

	mu   sync.Mutex
	keys map[string][]crypto.PublicKey // by issuer
}

// Trust accepts the tokens that name the issuer and are signed with the key.
func (i *Issuers) Trust(issuer string, key crypto.PublicKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.keys == nil {
		i.keys = map[string][]crypto.PublicKey{}
	}
	i.keys[issuer] = append(i.keys[issuer], key)
}

// TrustKeySet is Trust for the keys of a JSON web key set (RFC 7517), which an
// API server publishes at /openid/v1/jwks.
func (i *Issuers) TrustKeySet(issuer string, set []byte) error {
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(set, &keys); err != nil {
		return fmt.Errorf("the key set is not one: %w", err)
	}
	for _, key := range keys.Keys {
		i.Trust(issuer, key.Key)
	}
	return nil
}

// Verify returns what a token says that one of its issuer's keys has signed.
// Whether it is for whom it should be, and has not expired, is the caller's to
// look at. The error is one of those above.
func (i *Issuers) Verify(raw string) (jwt.Claims, error) {
	token, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		return jwt.Claims{}, ErrMalformed
	}
	var unchecked jwt.Claims
	if err := token.UnsafeClaimsWithoutVerification(&unchecked); err != nil {
		return jwt.Claims{}, ErrMalformed
	}
	i.mu.Lock()
	keys := i.keys[unchecked.Issuer]
	i.mu.Unlock()
	if len(keys) == 0 {
		return jwt.Claims{}, ErrUnknownIssuer
	}
	for _, key := range keys {
		var claims jwt.Claims
		if token.Claims(key, &claims) == nil {
			return claims, nil
		}
	}
	return jwt.Claims{}, ErrSignature
}
