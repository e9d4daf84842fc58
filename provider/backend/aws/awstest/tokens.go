package awstest

import (
	"errors"
	"net/http"

	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
)

// IssuerName is the issuer that the tokens of Server.NewIssuer name.
const IssuerName = "https://oidc.eks.example.com/id/TEST"

// verifyToken returns the service account, as "namespace/name", of a token that
// is right for the audience.
func (s *Server) verifyToken(raw, audience string) (string, *Error) {
	invalid := func(text string) *Error { return Fail(http.StatusBadRequest, "InvalidIdentityToken", text) }
	claims, err := s.Verify(raw)
	switch {
	case errors.Is(err, identitytest.ErrMalformed):
		return "", invalid("The ID Token provided is not a valid JWT.")
	case errors.Is(err, identitytest.ErrUnknownIssuer):
		return "", invalid("No OpenIDConnect provider found in your account for the token's issuer")
	case err != nil:
		// So it is with a key that the issuer does not tell, or cannot just now.
		// https://repost.aws/knowledge-center/iam-sts-invalididentitytoken
		return "", invalid("Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements")
	case !claims.Audience.Contains(audience):
		return "", invalid("Incorrect token audience")
	case claims.Expiry == nil || !s.Now().Before(claims.Expiry.Time()):
		return "", Fail(http.StatusBadRequest, "ExpiredTokenException", "Token expired: current date/time must be before the expiration date/time")
	}
	account, ok := identitytest.Account(claims.Subject)
	if !ok {
		return "", invalid("the token's subject is no service account")
	}
	return account, nil
}
