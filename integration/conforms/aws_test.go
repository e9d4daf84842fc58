package conforms

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/lanyardhq/lanyard/integration/conformance"
	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
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
		a.roles[account] = a.PutRole(account.Name, awstest.Role{Accounts: []string{account.String()}, Reads: []string{account.Name + "/*", "/" + account.Name + "/*"}})
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
	return a.store(a.config("aws-secrets-manager"), ownStore, awsAudience)
}

const awsAudience = "sts.amazonaws.com"

// config has a store of the type for each service account. It tries once more,
// because a large answer breaks off now and then with "use of closed network
// connection" under the SDK.
// https://github.com/aws/aws-sdk-go-v2/issues/2737
func (a *aws) config(typeName string) string {
	config := ""
	for _, account := range accounts {
		config += fmt.Sprintf("  %s: {type: %s, region: %s, retries: 1, endpoint: '%[4]s', auth: {role: '%[5]s', stsEndpoint: '%[4]s'}}\n", ownStore(account), typeName, awsRegion, a.URL, a.roles[account])
	}
	return config
}

func ownStore(owner conformance.Account) string { return owner.Name }

// newAWSParameters has parameters, which are text, in base64.
func newAWSParameters(t *testing.T) store {
	t.Helper()
	a := startAWS(t)
	s := a.store(a.config("aws-parameter-store"), ownStore, awsAudience)
	// Names are letters, digits and some signs.
	parameter := func(owner conformance.Account, name string) string { return fmt.Sprintf("/%s/%x", owner.Name, name) }
	s.put = func(_ context.Context, owner conformance.Account, name string, value []byte) error {
		a.PutParameter(awsRegion, parameter(owner, name), "SecureString", base64.StdEncoding.EncodeToString(value))
		return nil
	}
	s.remove = func(_ context.Context, owner conformance.Account, name string) error {
		a.DeleteParameter(awsRegion, parameter(owner, name))
		return nil
	}
	s.object = func(owner conformance.Account, object conformance.Object) (map[string]any, error) {
		return map[string]any{"store": ownStore(owner), "key": parameter(owner, object.Name), "encoding": "base64"}, nil
	}
	s.reads = func() int { return a.Calls("ssm:GetParameters") }
	// https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html
	s.largestValue = base64.StdEncoding.DecodedLen(8 << 10)
	return s
}

// newAWSKMS has ciphertexts in the classes themselves, under a key that is the
// owner's. A secret that does not exist is one under a key that is nobody's.
func newAWSKMS(t *testing.T) store {
	t.Helper()
	a := startAWS(t)
	service := a.NewKMS()
	nobodys := service.Create(t, awsRegion, false)
	keys := map[conformance.Account]string{}
	for _, account := range accounts {
		keys[account] = service.Create(t, awsRegion, false)
		a.PutRole(account.Name, awstest.Role{Accounts: []string{account.String()}, Reads: []string{keys[account]}})
	}
	g := newGit(func(owner conformance.Account, _ string, value []byte) (string, error) {
		key := keys[owner]
		if value == nil {
			key = nobodys
		}
		return base64.StdEncoding.EncodeToString(service.Encrypt(t, key, value, nil)), nil
	})
	s := a.store(a.config("aws-kms"), ownStore, awsAudience)
	s.put, s.remove = g.put, g.remove
	s.object = func(owner conformance.Account, object conformance.Object) (map[string]any, error) {
		text, err := g.text(owner, object)
		return map[string]any{"store": ownStore(owner), "key": text}, err
	}
	s.reads = func() int { return a.Calls("kms:Decrypt") }
	// https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html
	s.largestValue = 4 << 10
	// A class, with all of its values, is one object of the API server's.
	s.largestVolume = 512 << 10
	return s
}

// newAWSForDialect has the one store that classes of the dialect read from, with
// the role that EKS Pod Identity associates with each service account.
func newAWSForDialect(t *testing.T) store {
	t.Helper()
	a := startAWS(t)
	config := fmt.Sprintf("  secretsmanager: {type: aws-secrets-manager, retries: 1, endpoint: '%[1]s', auth: {agentEndpoint: '%[1]s'}}\n", a.URL)
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
