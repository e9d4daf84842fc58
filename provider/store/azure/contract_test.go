package azure_test

import (
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/azure"
	"github.com/lanyardhq/lanyard/provider/store/storetest"
)

func TestItKeepsTheContractOfStores(t *testing.T) {
	storetest.Run(t, contract)
}

func FuzzAnswers(f *testing.F) { storetest.Fuzz(f, contract) }

// contract is the store under test.
func contract(t *testing.T) *storetest.Fixture {
	t.Helper()
	f := newFixture(t)
	web, api := f.pod("prod/web"), f.pod("prod/api")
	with := func(fields map[string]any) store.Settings {
		settings := f.settings(fields)
		settings.ByOperator = false
		return settings
	}
	return &storetest.Fixture{
		Type: azure.NewType(azure.Options{}), Settings: f.settings(nil),
		Identity: web, Stranger: &api,
		Put: func(_ *testing.T, name, value string) store.Reference {
			f.vault.Put(name, value)
			return store.Reference{Key: "secrets/" + name}
		},
		Answers: &storetest.Answers{Settings: f.settings(map[string]any{"retries": 0}), Rewrite: f.azure.Rewrite, Values: []string{"value"}, Throttled: f.azure.Throttling("get secrets", "token")},
		Missing: store.Reference{Key: "secrets/missing"},
		Pinned:  []store.Reference{{Key: "secrets/db", Version: "0123456789abcdef"}},
		Invalid: map[string]store.Reference{
			"no key":                    {},
			"no collection":             {Key: "db"},
			"another collection":        {Key: "secret/db"},
			"no name":                   {Key: "secrets/"},
			"a version in the key":      {Key: "secrets/db/4387e9f3d6e14c459867679a90fd0f79"},
			"a name that is none":       {Key: "secrets/db_password"},
			"a name that is too long":   {Key: "secrets/" + strings.Repeat("a", 128)},
			"a version that is none":    {Key: "secrets/db", Version: "../2"},
			"an unknown option":         {Key: "secrets/db", Options: map[string]any{"parts": "key"}},
			"a part of a secret":        {Key: "secrets/db", Options: map[string]any{"part": "key"}},
			"an unknown part":           {Key: "certificates/web", Options: map[string]any{"part": "root"}},
			"a format of a key":         {Key: "keys/sign", Options: map[string]any{"format": "pem"}},
			"a PFX of a part":           {Key: "certificates/web", Options: map[string]any{"part": "key", "format": "pfx"}},
			"a history of none":         {Key: "secrets/db", Options: map[string]any{"history": 0}},
			"a history that is too far": {Key: "secrets/db", Options: map[string]any{"history": 51}},
			"a history of a pair":       {Key: "certificates/web", Options: map[string]any{"part": "pair", "history": 2}},
		},
		InvalidSettings: map[string]store.Settings{
			"vault":                                f.settings(map[string]any{"vault": nil}),
			"hsm":                                  f.settings(map[string]any{"vault": nil, "hsm": "a_b"}),
			"address":                              f.settings(map[string]any{"vault": nil, "address": "http://web-kv.vault.azure.net"}),
			"cloud":                                f.settings(map[string]any{"cloud": "AzureGermanCloud"}),
			"dnsSuffix":                            f.settings(map[string]any{"dnsSuffix": "vault.azure.net/x"}),
			"authorityHost":                        f.settings(map[string]any{"authorityHost": "https://login.microsoftonline.com/tenant"}),
			"resource":                             f.settings(map[string]any{"resource": "vault.azure.net"}),
			"endpoint":                             f.settings(map[string]any{"endpoint": "10.0.0.4"}),
			"apiVersion":                           f.settings(map[string]any{"apiVersion": "latest"}),
			"tenantID":                             f.settings(map[string]any{"tenantID": "a/b"}),
			"auth.method":                          f.settings(map[string]any{"auth": map[string]any{"method": "podIdentity"}}),
			"auth.clientID":                        f.settings(map[string]any{"auth": map[string]any{"method": "workloadIdentity"}}),
			"auth.identityID":                      f.settings(map[string]any{"auth": map[string]any{"clientID": "a", "identityID": "b"}}),
			"auth.metadataEndpoint":                f.settings(map[string]any{"auth": map[string]any{"method": "managedIdentity", "metadataEndpoint": "ftp://x"}}),
			"own identity":                         with(map[string]any{"auth": map[string]any{"method": "managedIdentity"}}),
			"tls.caCertFile":                       with(map[string]any{"tls": map[string]any{"caCertFile": "/etc/ca.crt"}}),
			"tls.caCert":                           f.settings(map[string]any{"tls": map[string]any{"caCert": "no certificate"}}),
			"timeout":                              f.settings(map[string]any{"timeout": "10ms"}),
			"retries":                              f.settings(map[string]any{"retries": 100}),
			"unknown field; did you mean tenantID": f.settings(map[string]any{"tenantId": azuretest.Tenant}),
		},
		Fail: func(*testing.T) { f.azure.Add(azuretest.Fault{Drop: true}) },
	}
}
