package azure_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/azure"
)

// The tests wait for bounds on time more than they compute.
func TestMain(m *testing.M) { backendtest.Main(m) }

const (
	audience  = "api://AzureADTokenExchange"
	webClient = "client-of-web"
)

// fixture is a vault that the service account prod/web may read everything in.
type fixture struct {
	azure  *azuretest.Server
	vault  *azuretest.Vault
	issuer *identitytest.Issuer
	t      *testing.T
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	server := azuretest.New(t)
	f := &fixture{azure: server, vault: server.Vault("web-kv"), issuer: server.NewIssuer(t), t: t}
	server.Federate(webClient, azuretest.Federation{Issuer: azuretest.IssuerName, Subject: identitytest.Subject("prod/web"), Audience: audience})
	f.vault.Grant(webClient, "*")
	return f
}

// settings work, with those of more in place of their own; nil takes one away.
func (f *fixture) settings(more map[string]any) store.Settings {
	fields := map[string]any{
		"vault": "web-kv", "endpoint": f.azure.Endpoint, "authorityHost": f.azure.Authority, "tenantID": azuretest.Tenant,
		"auth": map[string]any{"clientID": webClient}, "tls": map[string]any{"caCert": f.azure.CACert}, "retries": 2, "timeout": "1m",
	}
	for name, value := range more {
		fields[name] = value
		if value == nil {
			delete(fields, name)
		}
	}
	return store.Settings{Fields: fields, ByOperator: true}
}

func (f *fixture) open(more map[string]any) store.Store {
	f.t.Helper()
	opened, err := azure.NewType(azure.Options{}).Open(f.settings(more))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(opened.Close)
	return opened
}

// pod is one of a service account, as "namespace/name".
func (f *fixture) pod(account string) identity.Identity {
	f.t.Helper()
	namespace, name, _ := strings.Cut(account, "/")
	expires := time.Now().Add(time.Hour)
	return identity.Identity{
		Namespace: namespace, ServiceAccount: name, Pod: name + "-1", PodUID: "uid-of-the-pod",
		Tokens: map[string]identity.Token{audience: {JWT: secret.NewString(f.issuer.Token(f.t, account, audience, expires)), Expires: expires}},
	}
}

// read reads as prod/web and fails the test if that fails.
func (f *fixture) read(s store.Store, ref store.Reference) store.Value {
	f.t.Helper()
	if err := s.Check(ref); err != nil {
		f.t.Fatalf("Check: %v", err)
	}
	value, err := s.Read(f.t.Context(), f.pod("prod/web"), ref)
	if err != nil {
		f.t.Fatalf("Read: %v", err)
	}
	return value
}

// text is what read returns as text.
func (f *fixture) text(s store.Store, ref store.Reference) string {
	f.t.Helper()
	return f.read(s, ref).Data.RevealString()
}

func within(t *testing.T, time time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time)
	t.Cleanup(cancel)
	return ctx
}
