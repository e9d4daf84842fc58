package azure

import (
	"cmp"
	"context"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// Audiences are those of the pod's tokens that log in. Whether one does where the pod's
// own credentials or the annotations of its service account say as whom, they tell.
func (a *Auth) Audiences() []string {
	method := cmp.Or(a.Method, a.implied())
	switch {
	case method != methodWorkloadIdentity:
		return nil
	case a.Audience != "":
		return []string{a.Audience}
	case a.IdentityBinding:
		return []string{bindingAudience}
	}
	return []string{defaultAudience}
}

// Servers are the vault, and where logins go.
func (v *Vault) Servers() []remote.Server {
	servers := []remote.Server{v.over.Server("address", v.config.Address)}
	switch auth := &v.config.Auth; {
	case auth.UsesNode():
	case auth.IdentityBinding:
		servers = append(servers, v.logins.over.Server("tokenProxy.url", v.config.TokenProxy.URL))
	default:
		servers = append(servers, v.logins.over.Server("authorityHost", v.config.AuthorityHost))
	}
	return servers
}

// Login gets the identity's token, unless it is there.
func (v *Vault) Login(ctx context.Context, as identity.Identity) error {
	_, _, _, err := v.token(ctx, as)
	return err
}
