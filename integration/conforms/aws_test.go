package conforms

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/lanyardhq/lanyard/integration/conformance"
	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/provider/aws/awstest"
)

// aws is an AWS whose STS and agent trust the tokens of an issuer, and where each
// service account has a role that reads what is below the account's name.
type aws struct {
	*awstest.Server
	tokens *issuer.Issuer
	roles  map[conformance.Account]string
	repair func()
}

const awsRegion = "eu-west-1"

func startAWS(t *testing.T) *aws {
	t.Helper()
	tokens, err := issuer.New()
	if err != nil {
		t.Fatal(err)
	}
	a := &aws{Server: awstest.New(t), tokens: tokens, roles: map[conformance.Account]string{}, repair: func() {}}
	a.Trust(issuer.Name, tokens.PublicKey())
	for _, account := range accounts {
		a.roles[account] = a.PutRole(account.Name, awstest.Role{Accounts: []string{account.String()}, Reads: []string{account.Name + "/*"}})
		a.Associate(account.String(), a.roles[account])
	}
	return a
}

// store is Secrets Manager as stores of this configuration read it, which belongs
// to the class's owner where it is called by the owner's name.
func (a *aws) store(config string, named func(owner conformance.Account) string, audience string) store {
	secret := func(owner conformance.Account, name string) string { return owner.Name + "/" + name }
	return store{
		config: config,
		put: func(_ context.Context, owner conformance.Account, name string, value []byte) error {
			a.PutBinarySecret(awsRegion, secret(owner, name), value)
			return nil
		},
		remove: func(_ context.Context, owner conformance.Account, name string) error {
			a.DeleteSecret(awsRegion, secret(owner, name), true)
			return nil
		},
		object: func(owner conformance.Account, object conformance.Object) (map[string]any, error) {
			return map[string]any{"store": named(owner), "key": secret(owner, object.Name)}, nil
		},
		tokens: tokensWith(a.tokens, audience),
		reads: func() int {
			return a.Calls("secretsmanager:BatchGetSecretValue") + a.Calls("secretsmanager:GetSecretValue")
		},
		fail: func(context.Context) error {
			a.repair = a.Add(awstest.Fault{Drop: true})
			return nil
		},
		recover: func(context.Context) error { a.repair(); return nil },
	}
}

// newAWS has a store with a role of its own for each service account.
func newAWS(t *testing.T) store {
	t.Helper()
	a := startAWS(t)
	config := ""
	for _, account := range accounts {
		config += fmt.Sprintf("  %s: {type: aws-secrets-manager, region: %s, retries: 0, endpoint: '%[3]s', auth: {role: '%[4]s', stsEndpoint: '%[3]s'}}\n", account.Name, awsRegion, a.URL, a.roles[account])
	}
	return a.store(config, func(owner conformance.Account) string { return owner.Name }, "sts.amazonaws.com")
}

// newAWSForDialect has the one store that classes of the dialect read from, with
// the role that EKS Pod Identity associates with each service account.
func newAWSForDialect(t *testing.T) store {
	t.Helper()
	a := startAWS(t)
	config := fmt.Sprintf("  secretsmanager: {type: aws-secrets-manager, retries: 0, endpoint: '%[1]s', auth: {agentEndpoint: '%[1]s'}}\n", a.URL)
	return a.store(config, func(conformance.Account) string { return "secretsmanager" }, "pods.eks.amazonaws.com")
}

// awsClass is a class as users of the AWS provider write it.
func awsClass(s store, owner conformance.Account, objects []conformance.Object) (map[string]string, error) {
	type entry struct {
		Name       any    `json:"objectName"`
		Type       string `json:"objectType"`
		Alias      string `json:"objectAlias"`
		Permission string `json:"filePermission,omitempty"`
	}
	all := make([]entry, len(objects))
	for i, object := range objects {
		native, err := s.object(owner, object)
		if err != nil {
			return nil, err
		}
		all[i] = entry{Name: native["key"], Type: "secretsmanager", Alias: object.Path}
		if object.Mode != 0 {
			all[i].Permission = fmt.Sprintf("%04o", object.Mode)
		}
	}
	text, err := json.Marshal(all)
	return map[string]string{"objects": string(text), "region": awsRegion, "usePodIdentity": "true", "pathTranslation": "False"}, err
}
