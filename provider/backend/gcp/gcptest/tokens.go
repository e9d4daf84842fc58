package gcptest

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
)

// Provider is a workload identity pool's provider.
type Provider struct {
	// Pool is the pool's name, such as shop.svc.id.goog.
	Pool string
	// Issuer is whose tokens it accepts, and TokenAudience for whom they are.
	Issuer, TokenAudience string
}

// GKE is the audience of the exchange for a GKE cluster of the project.
// https://cloud.google.com/kubernetes-engine/docs/concepts/workload-identity
func GKE(project, location, name string) string {
	return fmt.Sprintf("identitynamespace:%[1]s.svc.id.goog:https://container.googleapis.com/v1/projects/%[1]s/locations/%[2]s/clusters/%[3]s", project, location, name)
}

// PutProvider makes or replaces the provider that the audience of an exchange
// names.
func (s *Server) PutProvider(audience string, provider Provider) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.providers[audience] = provider
}

// Workload is what IAM policies call the pods of a service account.
// https://cloud.google.com/iam/docs/principal-identifiers
func Workload(pool, namespace, serviceAccount string) string {
	return "principal://" + pool + "/subject/ns/" + namespace + "/sa/" + serviceAccount
}

// exchange is the Security Token Service (RFC 8693).
// https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token
func (s *Server) exchange(w http.ResponseWriter, r *http.Request) {
	if s.answered(w, r, "token") {
		return
	}
	for name, want := range map[string]string{
		"grant_type":           "urn:ietf:params:oauth:grant-type:token-exchange",
		"requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
		"subject_token_type":   "urn:ietf:params:oauth:token-type:jwt",
		"scope":                "https://www.googleapis.com/auth/cloud-platform",
	} {
		if got := r.PostFormValue(name); got != want {
			refuse(w, "invalid_request", "Invalid value for "+name)
			return
		}
	}
	s.mu.Lock()
	provider, known := s.providers[r.PostFormValue("audience")]
	s.mu.Unlock()
	if !known {
		refuse(w, "invalid_target", "The target service indicated by the \"audience\" parameters is invalid. This might either be because the pool or provider is disabled or deleted or because it doesn't exist.")
		return
	}
	account, problem := s.verify(r.PostFormValue("subject_token"), provider)
	if problem != "" {
		refuse(w, "invalid_grant", problem)
		return
	}
	namespace, name, _ := strings.Cut(account, "/")
	s.mu.Lock()
	text, expires := s.grant(Workload(provider.Pool, namespace, name))
	s.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{
		"access_token": text, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
		"token_type": "Bearer", "expires_in": seconds(expires),
	})
}

func seconds(expires time.Time) int {
	return max(1, int(time.Until(expires).Round(time.Second).Seconds()))
}

// verify returns the service account, as "namespace/name", of a token that the
// provider accepts, or why it does not.
func (s *Server) verify(raw string, provider Provider) (account, problem string) {
	claims, err := s.Verify(raw)
	switch {
	case errors.Is(err, identitytest.ErrMalformed):
		return "", "The provided credential is not a valid JWT."
	case errors.Is(err, identitytest.ErrUnknownIssuer):
		return "", "The issuer in ID Token does not match the expected ones."
	case err != nil:
		// So it is with a key that the issuer does not tell, or cannot just now.
		// https://cloud.google.com/iam/docs/troubleshooting-workload-identity-federation
		return "", "Error connecting to the given credential's issuer."
	case claims.Issuer != provider.Issuer:
		return "", "The issuer in ID Token " + claims.Issuer + " does not match the expected ones."
	case !claims.Audience.Contains(provider.TokenAudience):
		return "", fmt.Sprintf("The audience in ID Token %v does not match the expected audience.", []string(claims.Audience))
	case claims.Expiry == nil || !time.Now().Before(claims.Expiry.Time()):
		return "", "ID Token is stale to sign-in."
	}
	account, ok := identitytest.Account(claims.Subject)
	if !ok {
		return "", "The subject is no service account."
	}
	return account, ""
}

// IssuerName is the issuer that the tokens of Server.NewIssuer name.
const IssuerName = "https://container.googleapis.com/v1/projects/shop/locations/europe-west3/clusters/one"
