package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
)

// ErrNoToken is wrapped by the errors of a TokenSource when the identity has
// no usable token for an audience: none was passed, or it has expired. The
// message says what to change.
var ErrNoToken = errors.New("no usable service account token")

// TokenSource gets an identity's token for an audience.
type TokenSource interface {
	// Token returns a token that is valid now. An error that wraps ErrNoToken
	// is final until the cluster's configuration changes; any other error may
	// pass by itself.
	Token(ctx context.Context, id Identity, audience string) (Token, error)
}

// PodTokens is the TokenSource of the tokens that an Identity has. It makes no call.
type PodTokens struct {
	// FromFiles says that they are from files that a command was given, and not from the
	// driver; what is to be done about one that is missing differs.
	FromFiles bool
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Token returns the identity's own token for the audience.
func (p PodTokens) Token(_ context.Context, id Identity, audience string) (Token, error) {
	token, ok := id.Tokens[audience]
	switch {
	case !ok && p.FromFiles:
		return Token{}, fmt.Errorf("%w for audience %q: there are %s; add --token %s=FILE with the file of a projected serviceAccountToken {audience: %q}",
			ErrNoToken, audience, passed(id.Tokens), message.Printable(audience), audience)
	case !ok:
		return Token{}, fmt.Errorf("%w for audience %q: the driver passed %s; add {audience: %q} to spec.tokenRequests of the CSIDriver secrets-store.csi.k8s.io",
			ErrNoToken, audience, passed(id.Tokens), audience)
	}
	now := time.Now
	if p.Now != nil {
		now = p.Now
	}
	if !token.Expires.IsZero() && !now().Before(token.Expires) {
		if p.FromFiles {
			return Token{}, fmt.Errorf("%w for audience %q: it expired at %s; its file is not renewed, or the clock is wrong", ErrNoToken, audience, token.Expires.UTC().Format(time.RFC3339))
		}
		return Token{}, fmt.Errorf("%w for audience %q: it expired at %s; set requiresRepublish: true on the CSIDriver secrets-store.csi.k8s.io, or check the node's clock",
			ErrNoToken, audience, token.Expires.UTC().Format(time.RFC3339))
	}
	return token, nil
}

func passed(tokens map[string]Token) string {
	if len(tokens) == 0 {
		return "no tokens"
	}
	audiences := make([]string, 0, len(tokens))
	for audience := range tokens {
		audiences = append(audiences, fmt.Sprintf("%q", audience))
	}
	slices.Sort(audiences)
	return "tokens for " + strings.Join(audiences, ", ")
}
