package main

import (
	"bytes"
	"context"
	"fmt"

	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/provider/backend/gcp/gcptest"
)

// measureGCP measures Google Secret Manager, which has no batch call.
func measureGCP(ctx context.Context, l *lab) ([]figure, error) {
	const project, pool = "projects/bench", "bench.svc.id.goog"
	tokens, err := issuer.New()
	if err != nil {
		return nil, err
	}
	server, err := gcptest.Start(cloudAddress)
	if err != nil {
		return nil, err
	}
	audience := gcptest.GKE("bench", "europe-west3", "one")
	server.Trust(issuer.Name, tokens.PublicKey())
	server.PutProvider(audience, gcptest.Provider{Pool: pool, Issuer: issuer.Name, TokenAudience: pool})
	for _, account := range l.cloudAccounts(1) {
		server.Grant(project, gcptest.Workload(pool, namespace, account))
	}
	for i := range cloudSecrets {
		server.Put(fmt.Sprintf("%s/secrets/bench-%02d", project, i), bytes.Repeat([]byte("v"), smallBytes))
	}
	server.Add(gcptest.Fault{Delay: cloudDelay})
	class := cloudClass{"20 secrets, Google Secret Manager", listed("gcp", project+"/secrets/bench-%02d"), cloudSecrets, calls{Logins: 1, Reads: cloudSecrets}}
	polled := class
	polled.what = "20 secrets of Google"
	return l.measureCloud(ctx, cloud{
		config: cloudConfig(map[string]string{"gcp": fmt.Sprintf(
			"type: google-secret-manager, endpoint: '%s', auth: {audience: '%s', stsEndpoint: '%s'}", server.Endpoint, audience, server.Identity)}),
		audience: pool,
		seen: func() calls {
			defer server.ResetCalls()
			return calls{Logins: server.Calls("token"), Reads: server.Calls("AccessSecretVersion")}
		},
		stores: []cloudStore{{"Secret Manager", "first mount of 20 secrets, Google", class}},
		polled: polled,
		close:  server.Close,
	}, tokens)
}
