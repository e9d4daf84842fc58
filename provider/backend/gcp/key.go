package gcp

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/jwt"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/nodefile"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

const (
	// maxKeyBytes bounds a service account's key; one has some 2.4 KB.
	maxKeyBytes = 64 << 10
	// tokenURL is the audience of a signed assertion, wherever it is sent.
	// https://developers.google.com/identity/protocols/oauth2/service-account#httprest
	tokenURL = "https://oauth2.googleapis.com/token"
)

// keyFile is a service account's key as Google writes it. What other files
// of that name may say (files to read, programs to run, URLs to ask) is not
// looked at, and neither is the URL that this one names.
// https://cloud.google.com/iam/docs/keys-create-delete#creating
type keyFile struct {
	Type         string `json:"type"`
	Email        string `json:"client_email"`
	KeyID        string `json:"private_key_id"`
	Key          string `json:"private_key"`
	UniverseName string `json:"universe_domain"`
}

func (s *Login) keyFileToken(ctx context.Context) (secret.Bytes, time.Time, error) {
	content, err := nodefile.ReadPrivate(s.Auth.KeyFile, maxKeyBytes)
	if err != nil {
		return secret.Bytes{}, time.Time{}, fault.Failf(fault.ErrUnauthenticated, "auth.keyFile: %w", err)
	}
	return s.keyToken(ctx, s.Auth.KeyFile, secret.New(content))
}

// keyToken logs in with a service account's key (RFC 7523), which came from
// where.
func (s *Login) keyToken(ctx context.Context, where string, content secret.Bytes) (secret.Bytes, time.Time, error) {
	key, problem := parseKey(content)
	if problem != "" {
		return secret.Bytes{}, time.Time{}, fault.Failf(fault.ErrUnauthenticated, "the key in %s %s", message.Excerpt(where), problem)
	}
	endpoint := s.Auth.OAuthEndpoint
	var granted *oauth2.Token
	err := s.call(ctx, callOf{
		what:    "login as " + message.Excerpt(key.Email) + " at " + Host(endpoint),
		refused: "check that the service account exists and is enabled, that the key was not deleted, and the node's clock",
		kind:    fault.ErrUnauthenticated, over: s.Link.way.OAuth, endpoint: endpoint, sent: []secret.Bytes{content, secret.NewString(key.Key)},
	}, func(ctx context.Context, _ *http.Client) error {
		var err error
		granted, err = (&jwt.Config{
			Email: key.Email, PrivateKey: []byte(key.Key), PrivateKeyID: key.KeyID,
			Scopes: []string{Scope}, TokenURL: endpoint + "/token", Audience: tokenURL,
		}).TokenSource(ctx).Token()
		if err == nil && (granted.AccessToken == "" || granted.Expiry.IsZero()) {
			return errNoAnswer
		}
		return err
	})
	if err != nil {
		return secret.Bytes{}, time.Time{}, err
	}
	return secret.NewString(granted.AccessToken), granted.Expiry, nil
}

// parseKey reads a key, or says what is wrong with it in words that show
// nothing of it.
func parseKey(content secret.Bytes) (keyFile, string) {
	const want = "give a service account's key as Google writes it, whose type is service_account"
	var key keyFile
	if content.Len() > maxKeyBytes || json.Unmarshal(content.Reveal(), &key) != nil {
		return key, "is not JSON; " + want
	}
	switch {
	case key.Type != "service_account":
		return key, "is of another type; " + want
	case !isAccount(key.Email):
		return key, "names no service account in client_email; " + want
	case key.UniverseName != "" && key.UniverseName != "googleapis.com":
		return key, "is of another cloud than googleapis.com, which is not supported"
	}
	block, _ := pem.Decode([]byte(key.Key))
	if block == nil {
		return key, "has no private key in PEM; " + want
	}
	if parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		if _, ok := parsed.(*rsa.PrivateKey); ok {
			return key, ""
		}
	}
	return key, "has a private key that is no RSA key in PKCS #8; " + want
}
