package azure_test

import (
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
)

// None is taken for a token, whoever grants it. Which identity a token is of, nobody but
// Entra ID can tell: it is opaque.
func TestAnAnswerThatIsNotWholeIsNoLogin(t *testing.T) {
	for who, auth := range map[string]func(f *fixture) map[string]any{
		"Entra ID": func(*fixture) map[string]any { return map[string]any{"clientID": "client-of-web"} },
		"the metadata service": func(f *fixture) map[string]any {
			return map[string]any{"method": "managedIdentity", "metadataEndpoint": f.azure.Metadata}
		},
	} {
		t.Run(who, func(t *testing.T) {
			f := newFixture(t)
			f.vault.Put("db", "hunter2")
			f.vault.Grant("system", "secrets/*")
			f.azure.SetMachine("system")
			answer := backendtest.Answer{
				Values: []string{"access_token", "expires_in", "expires_on"},
				Free:   []string{"token_type", "resource", "ext_expires_in", "not_before", "client_id", "refresh_token"},
			}
			if who != "Entra ID" {
				answer.Free = append(answer.Free, "expires_in")
			} else {
				answer.Free = append(answer.Free, "expires_on")
			}
			answer.Logins(t, &f.azure.Logins, nil, func(t *testing.T) (bool, error) {
				s := f.open(map[string]any{"auth": auth(f), "retries": 0})
				value, err := s.Read(t.Context(), f.pod("prod/web"), db)
				return value.Data.Len() > 0, err
			})
		})
	}
}
