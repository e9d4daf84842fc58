package azure

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// aSecret is the Object of a secret.
type aSecret struct{}

func (aSecret) String() string     { return "secrets/db" }
func (aSecret) Noun() string       { return "secret" }
func (aSecret) OrVersion() string  { return "" }
func (aSecret) Permission() string { return "get" }
func (aSecret) Role() string       { return "Key Vault Secrets User" }

func TestRetriesAreCounted(t *testing.T) {
	server := azuretest.New(t)
	issuer := server.NewIssuer(t)
	server.Federate("web", azuretest.Federation{Issuer: azuretest.IssuerName, Subject: identitytest.Subject("prod/web"), Audience: defaultAudience})
	server.Vault("web-kv").Grant("web", "*")
	as := identity.Identity{Namespace: "prod", ServiceAccount: "web", Tokens: map[string]identity.Token{
		defaultAudience: {JWT: secret.NewString(issuer.Token(t, "prod/web", defaultAudience, time.Now().Add(time.Hour)))},
	}}
	for action, failing := range map[string]azuretest.Fault{
		"get secrets": {Status: http.StatusServiceUnavailable},
		"token":       {Status: http.StatusServiceUnavailable},
		"challenge":   {Status: http.StatusServiceUnavailable},
	} {
		t.Run(action, func(t *testing.T) {
			failing.Action = action
			t.Cleanup(server.Add(failing))
			backendtest.CheckRetries(t, func(t *testing.T, retries int) int {
				server.ResetCalls()
				pool := NewPool(Options{Observed: "azure"})
				pool.transports = remote.NewTransports(remote.Options{Calls: remote.NewCalls(64), MaxAnswer: maxAnswerBytes, Dial: server.InMemory(t)})
				settings := DefaultSettings()
				settings.Vault, settings.AuthorityHost, settings.Auth.ClientID = "web-kv", server.Authority, "web"
				settings.TLS.CACert = server.CACert
				var problems remote.Problems
				if settings.Check(true, &problems); len(problems) > 0 {
					t.Fatal(problems)
				}
				settings.Retries = retries
				vault, err := pool.Connect(&settings)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(vault.Close)
				options := azsecrets.ClientOptions{ClientOptions: vault.ClientOptions()}
				client, err := azsecrets.NewClient(vault.Address(), nil, &options)
				if err != nil {
					t.Fatal(err)
				}
				err = vault.Call(t.Context(), as, aSecret{}, func(ctx context.Context) error {
					_, err := client.GetSecret(ctx, "db", "", nil)
					return err
				})
				if !errors.Is(err, fault.ErrUnavailable) {
					t.Errorf("error %v, want unavailable", err)
				}
				return server.Calls(action)
			})
		})
	}
}
