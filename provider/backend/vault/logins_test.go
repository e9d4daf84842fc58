package vault

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// None is taken for a session, neither of a login nor of a token that is there. Whose a
// token is, nobody but Vault can tell: it is opaque.
func TestAnAnswerThatIsNotWholeIsNoLogin(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("token"), 0o600); err != nil {
		t.Fatal(err)
	}
	for who, test := range map[string]struct {
		path, answer string
		change       func(*Settings)
	}{
		"a login": {"/v1/auth/kubernetes/login", `{"request_id":"1","auth":{"client_token":"token","lease_duration":3600,"renewable":true}}`, func(*Settings) {}},
		"a token of a file": {"/v1/auth/token/lookup-self", `{"request_id":"1","data":{"ttl":3600,"renewable":true,"num_uses":0}}`, func(s *Settings) {
			s.Auth.Method, s.Auth.Role, s.Auth.TokenFile = methodTokenFile, "", file
		}},
	} {
		t.Run(who, func(t *testing.T) {
			var answers backendtest.Rewriting
			used := false
			server := httptest.NewServer(answers.Rewriter(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == test.path:
					_, _ = w.Write([]byte(test.answer))
				case strings.HasSuffix(r.URL.Path, "/revoke-self"):
					w.WriteHeader(http.StatusNoContent)
				default:
					used = true
					_, _ = w.Write([]byte(`{"request_id":"1","data":{"a":"b"}}`))
				}
			}), func(r *http.Request) bool { return r.URL.Path == test.path }))
			defer server.Close()
			pod := identity.Identity{Tokens: map[string]identity.Token{"vault": {JWT: secret.NewString("jwt")}}}
			answer := backendtest.Answer{
				Values: []string{"auth.client_token", "auth.lease_duration", "data.ttl"},
				Free:   []string{"request_id", "auth.renewable", "data.renewable", "data.num_uses"},
			}
			answer.Logins(t, &answers, nil, func(t *testing.T) (bool, error) {
				used = false
				c := connect(t, NewPool(Options{}), func(s *Settings) { s.Address, s.Retries = server.URL, 0; test.change(s) })
				_, _, err := c.Call(t.Context(), pod, get)
				c.Close()
				return used, err
			})
		})
	}
}
