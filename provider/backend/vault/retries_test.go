package vault

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

func TestRetriesAreCounted(t *testing.T) {
	for _, failing := range []string{"/v1/auth/", "/v1/secret/a"} {
		t.Run(failing, func(t *testing.T) {
			backendtest.CheckRetries(t, func(t *testing.T, retries int) int {
				var counted backendtest.Counter
				server := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.HasPrefix(r.URL.Path, failing) {
						counted.Count("")
						backendtest.WriteJSON(w, http.StatusServiceUnavailable, "application/json", map[string]any{"errors": []string{"later"}})
						return
					}
					backendtest.WriteJSON(w, http.StatusOK, "application/json", map[string]any{"auth": map[string]any{"client_token": "hvs.a", "lease_duration": 3600, "renewable": true}})
				})
				pool := NewPool(Options{Observed: "vault"})
				pool.transports = remote.NewTransports(remote.Options{Calls: remote.NewCalls(64), MaxAnswer: maxAnswerBytes, Dial: backendtest.InMemory(t, server, nil)})
				settings := DefaultSettings()
				settings.Address, settings.Retries = "http://vault.test:8200", retries
				settings.Auth.Method, settings.Auth.Mount, settings.Auth.Role = methodKubernetes, "kubernetes", "web"
				connection, err := pool.Connect(&settings)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(connection.Close)
				as := identity.Identity{Namespace: "prod", ServiceAccount: "web", Tokens: map[string]identity.Token{defaultAudience: {JWT: secret.NewString("a.b.c")}}}
				if _, _, err = connection.Call(t.Context(), as, Request{What: "GET secret/a", Method: http.MethodGet, Path: "secret/a", Repeatable: true}); !errors.Is(err, fault.ErrUnavailable) {
					t.Errorf("error %v, want unavailable", err)
				}
				return counted.Calls("")
			})
		})
	}
}
