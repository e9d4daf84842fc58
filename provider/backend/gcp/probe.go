package gcp

import (
	"cmp"
	"context"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// Server is the server at a URL over a network of the Way.
func (l *Link) Server(setting, address string, over remote.Network) remote.Server {
	return l.transports[over].Server(setting, address)
}

// Audiences are those of the pod's tokens that log in; none if only the cluster knows it.
func (a *Auth) Audiences() []string {
	wanted := cmp.Or(a.TokenAudience, tokenAudience(a.Audience))
	if a.Method == MethodMetadata || a.Method == MethodKeyFile || wanted == "" {
		return nil
	}
	return []string{wanted}
}

// Servers are the identity services that a login calls.
func (s *Login) Servers() []remote.Server {
	var servers []remote.Server
	switch s.Auth.Method {
	case MethodMetadata, methodPerson:
	case MethodKeyFile:
		servers = append(servers, s.Link.Server("auth.oauthEndpoint", s.Auth.OAuthEndpoint, s.Link.way.OAuth))
	default:
		servers = append(servers, s.Link.Server("auth.stsEndpoint", s.Auth.STSEndpoint, s.Link.way.STS))
		if s.Auth.ServiceAccount != "" {
			servers = append(servers, s.Link.Server("auth.iamEndpoint", s.Auth.IAMEndpoint, s.Link.way.IAM))
		}
	}
	return servers
}

// Check gets the identity's access token, unless it is there.
func (s *Login) Check(ctx context.Context, as identity.Identity) error {
	return s.With(ctx, as, func(secret.Bytes, string) (bool, error) { return false, nil })
}
