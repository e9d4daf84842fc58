package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
)

// measureAzure measures Key Vault, which has no batch call.
func measureAzure(ctx context.Context, l *lab) ([]figure, error) {
	const vault, client, audience = "bench-kv", "client-of-bench", "api://AzureADTokenExchange"
	tokens, err := issuer.New()
	if err != nil {
		return nil, err
	}
	server, err := azuretest.Start(cloudAddress)
	if err != nil {
		return nil, err
	}
	server.Trust(issuer.Name, tokens.PublicKey())
	for _, account := range l.cloudAccounts(1) {
		server.Federate(client, azuretest.Federation{Issuer: issuer.Name, Subject: identitytest.Subject(namespace + "/" + account), Audience: audience})
	}
	held := server.Vault(vault)
	held.Grant(client, "*")
	for i := range cloudSecrets {
		held.Put(fmt.Sprintf("bench-%02d", i), strings.Repeat("v", smallBytes))
	}
	server.Add(azuretest.Fault{Delay: cloudDelay})
	dir, err := l.newDir()
	if err != nil {
		return nil, err
	}
	authority := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(authority, []byte(server.CACert), 0o600); err != nil {
		return nil, err
	}
	class := cloudClass{"20 secrets, Key Vault", listed("azure", "secrets/bench-%02d"), cloudSecrets, calls{Logins: 1, Reads: cloudSecrets}}
	polled := class
	polled.what = "20 secrets of Azure"
	return l.measureCloud(ctx, cloud{
		config: cloudConfig(map[string]string{"azure": fmt.Sprintf(
			"type: azure-key-vault, vault: %s, tenantID: %s, endpoint: '%s', authorityHost: '%s', auth: {clientID: %s}, tls: {caCertFile: %s}",
			vault, azuretest.Tenant, server.Endpoint, server.Authority, client, authority)}),
		audience: audience,
		seen: func() calls {
			defer server.ResetCalls()
			reads := server.Calls("get secrets")
			return calls{Logins: server.Calls("") - reads, Reads: reads}
		},
		stores: []cloudStore{{"Key Vault", "first mount of 20 secrets, Azure", class}},
		polled: polled,
		close:  server.Close,
	}, tokens)
}

// listed is a class of secrets of one store, each with a number in its key.
func listed(store, key string) map[string]string {
	var list strings.Builder
	for i := range cloudSecrets {
		fmt.Fprintf(&list, "- {path: secret-%02d, store: %s, key: %s}\n", i, store, fmt.Sprintf(key, i))
	}
	return map[string]string{"objects": list.String()}
}
