package conforms

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/integration/conformance"
	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/provider/aws/awstest"
)

// newAWS has Secrets Manager, where each service account has a store with a role
// of its own, which reads what is below the account's name.
func newAWS(t *testing.T) store {
	t.Helper()
	const region = "eu-west-1"
	tokens, err := issuer.New()
	if err != nil {
		t.Fatal(err)
	}
	server := awstest.New(t)
	block, _ := pem.Decode([]byte(tokens.PublicKeyPEM()))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	server.Trust(issuer.Name, key)
	secret := func(owner conformance.Account, name string) string { return owner.Name + "/" + name }
	config := ""
	for _, account := range accounts {
		role := server.PutRole(account.Name, awstest.Role{Accounts: []string{account.String()}, Reads: []string{account.Name + "/*"}})
		config += fmt.Sprintf("  %s: {type: aws-secrets-manager, region: %s, retries: 0, endpoint: '%[3]s', auth: {role: '%[4]s', stsEndpoint: '%[3]s'}}\n", account.Name, region, server.URL, role)
	}
	repair := func() {}
	return store{
		config: config,
		put: func(_ context.Context, owner conformance.Account, name string, value []byte) error {
			server.PutBinarySecret(region, secret(owner, name), value)
			return nil
		},
		remove: func(_ context.Context, owner conformance.Account, name string) error {
			server.DeleteSecret(region, secret(owner, name), true)
			return nil
		},
		object: func(owner conformance.Account, object conformance.Object) (map[string]any, error) {
			// The owner of a class and that of a secret may differ.
			return map[string]any{"store": owner.Name, "key": secret(owner, strings.TrimPrefix(object.Name, "/"))}, nil
		},
		tokens: tokensWith(tokens, "sts.amazonaws.com"),
		reads: func() int {
			return server.Calls("secretsmanager:BatchGetSecretValue") + server.Calls("secretsmanager:GetSecretValue")
		},
		fail: func(context.Context) error {
			repair = server.Add(awstest.Fault{Drop: true})
			return nil
		},
		recover: func(context.Context) error { repair(); return nil },
	}
}
