package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// login logs in and returns the session.
func (s *sessions) login(ctx context.Context, as identity.Identity) (*Session, error) {
	switch s.auth.Method {
	case methodTokenFile:
		token, err := readCredential(s.auth.TokenFile)
		if err != nil {
			return nil, fault.Failf(fault.ErrUnauthenticated, "auth.tokenFile: %v", err)
		}
		return s.adopt(ctx, token)
	case methodPerson:
		token, err := s.person.Token()
		if err != nil {
			return nil, fault.Failf(fault.ErrUnauthenticated, "%v", err)
		}
		return s.adopt(ctx, token)
	}
	fields, secrets, err := s.credentials(ctx, as)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, fault.Failf(fault.ErrInvalid, "the login cannot be written as JSON")
	}
	start := s.now()
	resp, err := s.client.call(ctx, Request{
		Method: http.MethodPost, Path: "auth/" + s.auth.Mount + "/login",
		Body: body, Secrets: secrets, Repeatable: true,
	})
	if err != nil {
		return nil, s.asLogin(err)
	}
	if !resp.OK() {
		return nil, s.refused(resp)
	}
	granted := (*Auth)(nil)
	if resp.Answer != nil {
		granted = resp.Answer.Auth
	}
	switch {
	case granted != nil && granted.MFA != nil:
		return nil, fault.Failf(fault.ErrUnauthenticated, "login as %s: Vault asks for a second factor, which no pod has; exempt the role from MFA", s.who())
	case granted == nil || granted.ClientToken == "":
		return nil, fault.Failf(fault.ErrUnavailable, "login as %s: Vault answered %d without a token; look at what stands between the node and Vault", s.who(), resp.Status)
	// Only root tokens do not end, and no login gives one.
	case granted.LeaseDuration <= 0:
		return nil, fault.Failf(fault.ErrUnavailable, "login as %s: Vault does not say when the token ends; look at what stands between the node and Vault", s.who())
	}
	return newSession(secret.NewString(granted.ClientToken), granted, start, true), nil
}

// credentials are the fields of the login request, and which of them are
// secret.
func (s *sessions) credentials(ctx context.Context, as identity.Identity) (map[string]string, []secret.Bytes, error) {
	switch s.auth.Method {
	case methodKubernetes, methodJWT:
		token, err := s.jwt(ctx, as)
		if err != nil {
			return nil, nil, err
		}
		fields := map[string]string{"jwt": token.RevealString()}
		if s.auth.Role != "" {
			fields["role"] = s.auth.Role
		}
		return fields, []secret.Bytes{token}, nil
	case methodAppRole:
		return s.appRole(as)
	default: // cert: the connection says who it is
		fields := map[string]string{}
		if s.auth.CertRole != "" {
			fields["name"] = s.auth.CertRole
		}
		return fields, nil, nil
	}
}

// jwt is the node's own token where the settings name one, and else the pod's.
func (s *sessions) jwt(ctx context.Context, as identity.Identity) (secret.Bytes, error) {
	if s.auth.JWTFile != "" {
		token, err := readJWT(s.auth.JWTFile)
		if err != nil {
			return secret.Bytes{}, fault.Failf(fault.ErrUnauthenticated, "auth.jwtFile: %v", err)
		}
		return token, nil
	}
	token, err := s.tokens.Token(ctx, as, s.auth.Audience)
	if err != nil {
		return secret.Bytes{}, s.tokenMissing(ctx, err)
	}
	return token.JWT, nil
}

func (s *sessions) tokenMissing(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, identity.ErrNoToken):
		return fault.Fail(fault.ErrUnauthenticated, err)
	case ctx.Err() != nil:
		return fmt.Errorf("waiting for the pod's token: %w", ctx.Err())
	}
	return fault.Failf(fault.ErrUnavailable, "the pod's token for audience %q cannot be had: %s", s.auth.Audience, message.Excerpt(err.Error()))
}

func (s *sessions) appRole(as identity.Identity) (map[string]string, []secret.Bytes, error) {
	var (
		roleID   = secret.NewString(s.auth.RoleID)
		secretID secret.Bytes
		err      error
	)
	if s.auth.RoleIDCredential != "" {
		if roleID, err = credential(as, "auth.roleIDCredential", s.auth.RoleIDCredential); err != nil {
			return nil, nil, err
		}
	}
	if s.auth.SecretIDFile != "" {
		if secretID, err = readCredential(s.auth.SecretIDFile); err != nil {
			return nil, nil, fault.Failf(fault.ErrUnauthenticated, "auth.secretIDFile: %v", err)
		}
	} else if secretID, err = credential(as, "auth.secretIDCredential", s.auth.SecretIDCredential); err != nil {
		return nil, nil, err
	}
	return map[string]string{"role_id": roleID.RevealString(), "secret_id": secretID.RevealString()},
		[]secret.Bytes{roleID, secretID}, nil
}

// credential is one of the pod's own.
func credential(as identity.Identity, field, name string) (secret.Bytes, error) {
	value, ok := as.Credentials[name]
	if !ok || value.Len() == 0 {
		return value, fault.Failf(fault.ErrUnauthenticated, "%s: the pod brings no credential %q; name a Secret that has this key in the volume's nodePublishSecretRef", field, message.Excerpt(name))
	}
	return value, nil
}

// adopt takes a token that is there and asks Vault how long it lives.
// https://developer.hashicorp.com/vault/api-docs/auth/token#lookup-a-token-self
func (s *sessions) adopt(ctx context.Context, token secret.Bytes) (*Session, error) {
	start := s.now()
	resp, err := s.client.call(ctx, Request{Method: http.MethodGet, Path: "auth/token/lookup-self", token: token, Repeatable: true})
	if err != nil {
		return nil, s.asLogin(err)
	}
	if !resp.OK() {
		return nil, fault.Failf(fault.ErrUnauthenticated, "Vault does not accept %s (%d): it has ended or was revoked, is of another namespace, or lacks Vault's default policy, which allows auth/token/lookup-self",
			s.who(), resp.Status)
	}
	var about struct {
		TTL       *Seconds `json:"ttl"` // zero for one that does not end
		Renewable bool     `json:"renewable"`
		NumUses   int      `json:"num_uses"`
	}
	if resp.Answer == nil || json.Unmarshal(resp.Answer.Data, &about) != nil || about.TTL == nil {
		return nil, fault.Failf(fault.ErrUnavailable, "Vault does not say how long %s lives; look at what stands between the node and Vault", s.who())
	}
	granted := &Auth{LeaseDuration: *about.TTL, Renewable: about.Renewable && *about.TTL > 0, NumUses: about.NumUses}
	return newSession(token, granted, start, false), nil
}

// asLogin says that what failed was the login.
func (s *sessions) asLogin(err error) error { return fmt.Errorf("login as %s: %w", s.who(), err) }

// refused explains a login that Vault does not accept.
func (s *sessions) refused(resp *Response) error {
	text := resp.Said()
	if redirected := resp.Redirected(); redirected != "" {
		return fault.Failf(fault.ErrInvalid, "login as %s: %s", s.who(), redirected)
	}
	if resp.Status == http.StatusNotFound {
		if s.client.namespace == "" {
			return fault.Failf(fault.ErrInvalid, "login as %s: no auth method is enabled at auth/%s in the root namespace; set auth.mount to where it is, or `namespace`%s", s.who(), message.Excerpt(s.auth.Mount), text)
		}
		return fault.Failf(fault.ErrInvalid, "login as %s: there is no namespace %s, or no auth method is enabled at auth/%s in it; check `namespace` and auth.mount%s", s.who(), message.Excerpt(s.client.namespace), message.Excerpt(s.auth.Mount), text)
	}
	return fault.Failf(fault.ErrUnauthenticated, "login as %s: refused (%d)%s; check %s", s.who(), resp.Status, text, s.remedy())
}

// remedy is what to look at when a login is refused.
func (s *sessions) remedy() string {
	switch s.auth.Method {
	case methodKubernetes:
		return fmt.Sprintf("that the role exists in this namespace of Vault, that its bound_service_account_names and bound_service_account_namespaces name the pod's, that its audience is %q, and that Vault's token reviewer may create tokenreviews at this cluster's API server",
			s.auth.Audience)
	case methodJWT:
		return fmt.Sprintf("that the role exists in this namespace of Vault, that its bound_subject or bound_claims fit the pod's service account, that its bound_audiences hold %q, and that the method trusts the keys of this cluster's issuer", s.auth.Audience)
	case methodAppRole:
		return "that the role ID is right and that the secret ID has not ended, been used up, or been bound to other addresses"
	}
	return "that a role of the cert method trusts the authority and the name of the client certificate, and that nothing between the node and Vault ends TLS"
}

// who describes the login in errors.
func (s *sessions) who() string {
	switch s.auth.Method {
	case methodKubernetes, methodJWT:
		if s.auth.Role == "" {
			return fmt.Sprintf("the default role at auth/%s", message.Excerpt(s.auth.Mount))
		}
		return fmt.Sprintf("role %q at auth/%s", s.auth.Role, message.Excerpt(s.auth.Mount))
	case methodPerson:
		return methodPerson
	case methodTokenFile:
		return "the token in " + message.Excerpt(s.auth.TokenFile)
	case methodCert:
		if s.auth.CertRole != "" {
			return fmt.Sprintf("role %q at auth/%s", s.auth.CertRole, message.Excerpt(s.auth.Mount))
		}
	}
	return "the " + s.auth.Method + " method at auth/" + message.Excerpt(s.auth.Mount)
}
