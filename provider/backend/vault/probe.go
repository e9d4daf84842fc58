package vault

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// Audiences are those of the pod's tokens that log in.
func (a *AuthSettings) Audiences() []string {
	if a.UsesNode() || a.Method != methodKubernetes && a.Method != methodJWT {
		return nil
	}
	return []string{a.Audience}
}

// Servers is the one server.
func (c *Connection) Servers() []remote.Server {
	return []remote.Server{c.transport.Server("address", c.client.address.String())}
}

// The statuses by which Vault is asked to say what is wrong with it. Those that it has by
// itself are those of a server that fails.
const (
	isSealed  = 298
	isUninit  = 299
	notServed = 297 // a standby of another cluster, which serves no reads
)

// Health asks what Vault says of itself to everyone. A standby works too. Below a
// namespace the path does not exist, so a refusal says nothing.
// https://developer.hashicorp.com/vault/api-docs/system/health
func (c *Connection) Health(ctx context.Context) error {
	resp, err := c.client.call(ctx, Request{
		What: "sys/health", Method: http.MethodGet, Path: "sys/health", Repeatable: true,
		Params: url.Values{
			"standbyok": {"true"}, "perfstandbyok": {"true"},
			"sealedcode": {strconv.Itoa(isSealed)}, "uninitcode": {strconv.Itoa(isUninit)}, "drsecondarycode": {strconv.Itoa(notServed)},
		},
	})
	switch {
	case err != nil:
		return err
	case resp.Status == isSealed:
		return fault.Failf(fault.ErrUnavailable, "Vault is sealed; an operator has to unseal it")
	case resp.Status == isUninit:
		return fault.Failf(fault.ErrUnavailable, "Vault is not initialised; run vault operator init")
	case resp.Status == notServed:
		return fault.Failf(fault.ErrUnavailable, "this Vault is the standby of another cluster (disaster recovery) and serves no reads; let `address` lead to the primary")
	}
	return nil
}

// Login logs the identity in, unless it is.
func (c *Connection) Login(ctx context.Context, as identity.Identity) error {
	_, _, err := c.sessions.get(ctx, as)
	return err
}

// otherAudience is one that no role is bound to.
const otherAudience = "lanyard-doctor.invalid"

// BindsAudience says whether the role refuses tokens of other audiences: as the role
// itself says, if the identity may read it, or else as a login with such a token shows.
// Vault's kubernetes method has a token reviewed for the audiences that it has, where the role
// names none: lookup in
// https://github.com/hashicorp/vault-plugin-auth-kubernetes/blob/v0.16.0/path_login.go
func (c *Connection) BindsAudience(ctx context.Context, as identity.Identity) (bool, error) {
	auth := &c.sessions.auth
	if len(auth.Audiences()) == 0 {
		return true, nil // no audience has a say
	}
	if auth.Role != "" {
		session, _, err := c.sessions.get(ctx, as)
		if err != nil {
			return false, err
		}
		resp, err := c.CallWith(ctx, session, Request{What: "the role", Method: http.MethodGet, Path: "auth/" + auth.Mount + "/role/" + url.PathEscape(auth.Role), Repeatable: true})
		if err == nil && resp.OK() && resp.Answer != nil {
			var role struct {
				Audience string   `json:"audience"`        // of kubernetes
				Bound    []string `json:"bound_audiences"` // of jwt
			}
			if json.Unmarshal(resp.Answer.Data, &role) == nil {
				return role.Audience != "" || len(role.Bound) > 0, nil
			}
		}
	}
	other := &sessions{client: c.client, auth: *auth, tokens: c.sessions.tokens, now: c.now}
	other.auth.Audience = otherAudience
	session, err := other.login(ctx, as)
	switch {
	case err == nil:
		c.sessions.revoke(ctx, []*Session{session})
		return false, nil
	case errors.Is(err, identity.ErrNoToken):
		return false, errors.New("the login may not read its own role, and there is no token of another audience to try")
	case errors.Is(err, fault.ErrUnauthenticated):
		return true, nil
	}
	return false, err
}
