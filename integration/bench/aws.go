package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
)

const (
	awsRegion = "eu-west-1"
	// awsParameters is how many parameters are polled beside the secrets.
	awsParameters = 30
)

// measureAWS measures Secrets Manager and the Parameter Store, both with a
// batch call: of 20 secrets, and of 10 parameters.
func measureAWS(ctx context.Context, l *lab) ([]figure, error) {
	tokens, err := issuer.New()
	if err != nil {
		return nil, err
	}
	server, err := awstest.Start(cloudAddress)
	if err != nil {
		return nil, err
	}
	server.Trust(issuer.Name, tokens.PublicKey())
	role := awstest.Role{Reads: []string{"*"}}
	for _, account := range l.cloudAccounts(2) {
		role.Accounts = append(role.Accounts, namespace+"/"+account)
	}
	arn := server.PutRole("bench", role)
	for i := range awsParameters {
		server.PutParameter(awsRegion, fmt.Sprintf("/bench/%02d", i), "SecureString", strings.Repeat("v", smallBytes))
		server.PutSecret(awsRegion, fmt.Sprintf("bench/%02d", i), strings.Repeat("v", smallBytes))
	}
	server.Add(awstest.Fault{Delay: cloudDelay})
	settings := func(typeName string) string {
		return fmt.Sprintf("type: %s, region: %s, endpoint: '%[3]s', auth: {role: '%[4]s', stsEndpoint: '%[3]s'}", typeName, awsRegion, server.URL, arn)
	}
	return l.measureCloud(ctx, cloud{
		config:   cloudConfig(map[string]string{"secrets": settings("aws-secrets-manager"), "parameters": settings("aws-parameter-store")}),
		audience: "sts.amazonaws.com",
		seen: func() calls {
			defer server.ResetCalls()
			logins := server.Calls("sts:AssumeRoleWithWebIdentity")
			return calls{Logins: logins, Reads: server.Calls("") - logins}
		},
		stores: []cloudStore{
			{"Secrets Manager", "first mount of 20 secrets, AWS", cloudClass{"20 secrets, Secrets Manager", awsClass(cloudSecrets, 0), cloudSecrets, calls{Logins: 1, Reads: 1}}},
			{"the Parameter Store", "first mount of 20 parameters, AWS", cloudClass{"20 parameters, Parameter Store", awsClass(0, cloudSecrets), cloudSecrets, calls{Logins: 1, Reads: 2}}},
		},
		polled: cloudClass{"20 secrets and 30 parameters of AWS", awsClass(cloudSecrets, awsParameters), cloudSecrets + awsParameters, calls{Logins: 1, Reads: 4}},
		close:  server.Close,
	}, tokens)
}

// awsClass is a class of as many secrets and parameters.
func awsClass(secrets, parameters int) map[string]string {
	var list strings.Builder
	for i := range secrets {
		fmt.Fprintf(&list, "- {path: secret-%02d, store: secrets, key: bench/%02d}\n", i, i)
	}
	for i := range parameters {
		fmt.Fprintf(&list, "- {path: parameter-%02d, store: parameters, key: /bench/%02d}\n", i, i)
	}
	return map[string]string{"objects": list.String()}
}
