package awssecrets_test

import (
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/storetest"
)

func TestSecretsManagerMeetsTheStoreContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, contract)
}

func FuzzAnswers(f *testing.F) { storetest.Fuzz(f, contract) }

// contract is the store under test.
func contract(t *testing.T) *storetest.Fixture {
	t.Helper()
	f := newFixture(t)
	stranger := f.pod(t, "prod/stranger")
	return &storetest.Fixture{
		Type: f.typ, Settings: f.settings(func(fields, _ map[string]any) { fields["retries"] = 1 }), Identity: f.pod(t, "prod/web"), Stranger: &stranger,
		Put: func(_ *testing.T, name, value string) store.Reference {
			f.PutSecret(ireland, name, value)
			return store.Reference{Key: name}
		},
		Answers: &storetest.Answers{
			Settings: f.settings(func(fields, _ map[string]any) { fields["retries"] = 0 }),
			Rewrite:  f.Rewrite, Values: []string{"SecretString", "SecretValues.*.SecretString"},
			Throttled: f.Throttling("secretsmanager:GetSecretValue", "sts:AssumeRoleWithWebIdentity"),
		},
		Missing: store.Reference{Key: "prod/missing"},
		Pinned:  []store.Reference{{Key: "prod/db", Version: "EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE"}},
		Invalid: map[string]store.Reference{
			"no key":                  {},
			"a space":                 {Key: "a b"},
			"another service's ARN":   {Key: "arn:aws:ssm:eu-west-1:111122223333:parameter/x"},
			"another region's ARN":    {Key: "arn:aws:secretsmanager:us-east-1:111122223333:secret:x-AbCdEf"},
			"stage as version":        {Key: "db", Version: "AWSPREVIOUS"},
			"stage that is no text":   {Key: "db", Options: map[string]any{"stage": 3}},
			"unknown option":          {Key: "db", Options: map[string]any{"stge": "AWSPREVIOUS"}},
			"failover without a key":  {Key: "db", Options: map[string]any{"failover": map[string]any{"stage": "x"}}},
			"failover with a typo":    {Key: "db", Options: map[string]any{"failover": map[string]any{"key": "x", "verion": "x"}}},
			"failover that is a text": {Key: "db", Options: map[string]any{"failover": "db"}},
		},
		InvalidSettings: map[string]store.Settings{
			"region":             f.settings(func(fields, _ map[string]any) { fields["region"] = "evil.example.com/" }),
			"failoverRegions[1]": f.settings(func(fields, _ map[string]any) { fields["failoverRegions"] = []any{frankfurt, frankfurt} }),
			"failoverCheck":      f.settings(func(fields, _ map[string]any) { fields["failoverCheck"] = "hourly" }),
			"endpoint":           f.settings(func(fields, _ map[string]any) { fields["endpoint"] = "https://user:password@host" }),
			"auth.method":        f.settings(func(_, auth map[string]any) { auth["method"] = "irsa" }),
			"auth.role":          f.settings(func(_, auth map[string]any) { auth["role"] = "web" }),
			"auth.chain":         f.settings(func(_, auth map[string]any) { auth["chain"] = []any{"web"} }),
			"auth.externalID":    f.settings(func(_, auth map[string]any) { auth["externalID"] = "without-a-chain" }),
			"auth.addressType":   f.settings(func(_, auth map[string]any) { auth["addressType"] = "ipv5" }),
			"auth.agentEndpoint": {Fields: map[string]any{"auth": map[string]any{"method": "podIdentity", "agentEndpoint": f.URL}}},
			"retries":            f.settings(func(fields, _ map[string]any) { fields["retries"] = 100 }),
			"timeout":            f.settings(func(fields, _ map[string]any) { fields["timeout"] = "1h" }),
			"regoin":             f.settings(func(fields, _ map[string]any) { fields["regoin"] = ireland }),
		},
		Fail: func(*testing.T) { f.Add(awstest.Fault{Drop: true}) },
	}
}
