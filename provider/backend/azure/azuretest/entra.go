package azuretest

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
)

// app is an application or a managed identity.
type app struct {
	secret    string
	federated []Federation
}

// Federation is a federated identity credential: whose token stands for a
// client's secret.
// https://learn.microsoft.com/entra/workload-id/workload-identity-federation-create-trust
type Federation struct {
	// Issuer, Subject and Audience are compared with the token's, to the letter.
	Issuer, Subject, Audience string
}

// Federate lets a client log in with the tokens that the federations name.
func (s *Server) Federate(clientID string, federations ...Federation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.app(clientID).federated = append(s.app(clientID).federated, federations...)
}

// SetSecret lets a client log in with a secret.
func (s *Server) SetSecret(clientID, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.app(clientID).secret = secret
}

// app finds or makes a client. The lock is held.
func (s *Server) app(clientID string) *app {
	if s.apps[clientID] == nil {
		s.apps[clientID] = &app{}
	}
	return s.apps[clientID]
}

// SetTokenAudience makes the access tokens that are issued from now on be for
// another audience than was asked for; empty ends that.
func (s *Server) SetTokenAudience(audience string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.audience = audience
}

// serveEntra is Microsoft Entra ID.
func (s *Server) serveEntra(w http.ResponseWriter, r *http.Request) {
	named, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if named == "adfs" {
		s.serveADFS(w, r, path)
		return
	}
	switch path {
	case "v2.0/.well-known/openid-configuration":
		s.answering(w, r, "discovery", func(w http.ResponseWriter) { s.discover(w, r.Host, named) })
	case "oauth2/v2.0/token":
		s.answering(w, r, "token", func(w http.ResponseWriter) { s.grant(w, r, named) })
	default:
		http.NotFound(w, r)
	}
}

// serveADFS is Active Directory Federation Services, which stands in for Entra ID in
// clouds that are cut off, and knows no tenants.
// https://learn.microsoft.com/windows-server/identity/ad-fs/overview/ad-fs-openid-connect-oauth-flows-scenarios
func (s *Server) serveADFS(w http.ResponseWriter, r *http.Request, path string) {
	switch path {
	case ".well-known/openid-configuration":
		base := "https://" + r.Host + "/adfs"
		s.answering(w, r, "discovery", func(w http.ResponseWriter) {
			answer(w, map[string]any{"issuer": base, "token_endpoint": base + "/oauth2/token", "authorization_endpoint": base + "/oauth2/authorize"})
		})
	case "oauth2/token":
		s.answering(w, r, "token", func(w http.ResponseWriter) { s.grant(w, r, Tenant) })
	default:
		http.NotFound(w, r)
	}
}

// discover answers OpenID Connect's discovery.
// https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc#fetch-the-openid-configuration-document
func (s *Server) discover(w http.ResponseWriter, host, tenant string) {
	if tenant != Tenant {
		refuseLogin(w, http.StatusBadRequest, "invalid_tenant", 90002, "Tenant '"+tenant+"' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.")
		return
	}
	base := "https://" + host + "/" + tenant
	answer(w, map[string]any{
		"issuer": base + "/v2.0", "token_endpoint": base + "/oauth2/v2.0/token", "authorization_endpoint": base + "/oauth2/v2.0/authorize",
	})
}

// grant answers the client credentials grant, with a secret or a federated
// token.
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
func (s *Server) grant(w http.ResponseWriter, r *http.Request, tenant string) {
	form := func(name string) string { return r.PostFormValue(name) }
	clientID := form("client_id")
	s.mu.Lock()
	known := s.apps[clientID]
	s.mu.Unlock()
	resource, isDefault := strings.CutSuffix(firstScope(form("scope")), "/.default")
	switch {
	case tenant != Tenant:
		refuseLogin(w, http.StatusBadRequest, "invalid_request", 90002, "Tenant '"+tenant+"' not found.")
	case form("grant_type") != "client_credentials":
		refuseLogin(w, http.StatusBadRequest, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
	case known == nil:
		refuseLogin(w, http.StatusBadRequest, "unauthorized_client", 700016, "Application with identifier '"+clientID+"' was not found in the directory 'Tests'.")
	case !isDefault:
		refuseLogin(w, http.StatusBadRequest, "invalid_scope", 1002012, "The provided value for scope is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier.")
	case form("client_assertion") != "":
		if form("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
			refuseLogin(w, http.StatusBadRequest, "invalid_request", 900144, "The request body must contain the following parameter: 'client_assertion_type'.")
			return
		}
		if code, text := s.checkAssertion(known, form("client_assertion")); code != 0 {
			refuseLogin(w, http.StatusUnauthorized, "invalid_client", code, text)
			return
		}
		s.issue(w, clientID, resource, false)
	case known.secret == "" || form("client_secret") != known.secret:
		refuseLogin(w, http.StatusUnauthorized, "invalid_client", 7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '"+clientID+"'.")
	default:
		s.issue(w, clientID, resource, false)
	}
}

// firstScope leaves out those that every client asks for.
func firstScope(scopes string) string {
	for scope := range strings.FieldsSeq(scopes) {
		if strings.Contains(scope, "://") {
			return scope
		}
	}
	return ""
}

// checkAssertion returns the code and the words with which a federated token is
// refused; zero if it is right.
func (s *Server) checkAssertion(known *app, raw string) (code int, text string) {
	claims, err := s.Verify(raw)
	if errors.Is(err, identitytest.ErrMalformed) {
		return 50027, "JWT token is invalid or malformed."
	}
	if err != nil {
		return 700027, "The certificate with identifier used to sign the client assertion is not registered on application."
	}
	s.mu.Lock()
	federated := known.federated
	s.mu.Unlock()
	if claims.Expiry == nil || !s.Now().Before(claims.Expiry.Time()) {
		return 700024, "Client assertion is not within its valid time range."
	}
	for _, f := range federated {
		if f.Issuer == claims.Issuer && f.Subject == claims.Subject && claims.Audience.Contains(f.Audience) {
			return 0, ""
		}
	}
	return 700213, fmt.Sprintf("No matching federated identity record found for presented assertion subject '%s'. Assertion issuer: %s. Audience: %s.", claims.Subject, claims.Issuer, strings.Join(claims.Audience, " "))
}

// tokenLife is how long access tokens live.
const tokenLife = time.Hour

// issue answers with an access token, in the form of the metadata service if
// texts is true.
func (s *Server) issue(w http.ResponseWriter, clientID, resource string, texts bool) {
	s.mu.Lock()
	audience, now := s.audience, s.Now()
	s.mu.Unlock()
	if audience == "" {
		audience = resource
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: s.signing}, nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	raw, err := jwt.Signed(signer).Claims(map[string]any{
		"aud": audience, "iss": "https://sts.windows.net/" + Tenant + "/", "appid": clientID, "tid": Tenant,
		// The end is a whole second, and no sooner than the answer says.
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(tokenLife).Unix() + 1,
	}).Serialize()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if texts {
		answer(w, map[string]any{
			"access_token": raw, "token_type": "Bearer", "resource": resource, "client_id": clientID,
			"expires_in": strconv.Itoa(int(tokenLife.Seconds())), "expires_on": strconv.FormatInt(now.Add(tokenLife).Unix(), 10),
		})
		return
	}
	answer(w, map[string]any{"access_token": raw, "token_type": "Bearer", "expires_in": int(tokenLife.Seconds()), "ext_expires_in": int(tokenLife.Seconds())})
}

// refuseLogin answers in the form of
// https://learn.microsoft.com/entra/identity-platform/reference-error-codes#handling-error-codes-in-your-application
func refuseLogin(w http.ResponseWriter, status int, kind string, code int, text string) {
	backendtest.WriteJSON(w, status, "application/json", map[string]any{
		"error": kind, "error_codes": []int{code}, "timestamp": "2026-01-01 00:00:00Z",
		"error_description": fmt.Sprintf("AADSTS%d: %s Trace ID: 00000000-0000-0000-0000-000000000000 Correlation ID: 00000000-0000-0000-0000-000000000000 Timestamp: 2026-01-01 00:00:00Z", code, text),
	})
}

// IssuerName is the issuer that the tokens of Server.NewIssuer name.
const IssuerName = "https://oidc.example.com/cluster"
