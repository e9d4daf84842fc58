package azure

import (
	"context"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// bearerKey is the context's key for the token of a call.
type bearerKey struct{}

func withBearer(ctx context.Context, token secret.Bytes) context.Context {
	return context.WithValue(ctx, bearerKey{}, token)
}

// authorizer is the pipeline's policy that gives a call the token that its
// context carries. One client serves all identities so.
type authorizer struct{ hostPort string }

// Do implements policy.Policy. The link to a list's next page comes from the
// server, often with the port that https has anyway, and must not lead the token
// to another.
func (a authorizer) Do(req *policy.Request) (*http.Response, error) {
	if to := req.Raw().URL; to.Scheme != "https" || remote.HostPort(to) != a.hostPort {
		return nil, fault.Failf(fault.ErrInvalid, "%s sends the reader of a list to %s, where its token must not go", a.hostPort, message.Excerpt(to.Host))
	}
	token, ok := req.Raw().Context().Value(bearerKey{}).(secret.Bytes)
	if !ok || token.Len() == 0 {
		return nil, fault.Failf(fault.ErrUnauthenticated, "the call has no token")
	}
	req.Raw().Header.Set("Authorization", "Bearer "+token.RevealString())
	return req.Next()
}
