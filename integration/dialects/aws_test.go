package dialects

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
)

// ownAWS is an AWS that holds what testdata/aws.yaml of the dialect says, of
// which the region us-west-1 is down. The role web, which shop/web may assume,
// reads all of it.
func ownAWS(t *testing.T) (server *awstest.Server, from *issuer.Issuer, role string) {
	t.Helper()
	return awsOf(t, filepath.Join(testdata("aws"), "aws.yaml"))
}

// awsOf is an AWS that holds what the file says.
func awsOf(t *testing.T, file string) (server *awstest.Server, from *issuer.Issuer, role string) {
	t.Helper()
	server = awstest.New(t)
	from, err := issuer.New()
	if err != nil {
		t.Fatal(err)
	}
	server.Trust(issuer.Name, from.PublicKey())
	server.Load(t, file)
	server.Add(awstest.Fault{Region: "us-west-1", Fail: awstest.Fail(503, "ServiceUnavailable", "")})
	role = server.PutRole("web", awstest.Role{Accounts: []string{"shop/web"}, Reads: []string{"*"}})
	server.Associate("shop/web", role)
	return server, from, role
}

// newAWSNode is a node whose operator names the role and the endpoints of both
// stores, lets classes choose their region, and ignores by which way they would
// get the role.
func newAWSNode(t *testing.T) *node {
	t.Helper()
	server, from, role := ownAWS(t)
	return newNode(t, "lanyard,aws", awsConfig(server, role), from, "sts.amazonaws.com")
}

func awsConfig(server *awstest.Server, role string) string {
	config := "stores:\n"
	for name, typeName := range map[string]string{"secretsmanager": "aws-secrets-manager", "ssmparameter": "aws-parameter-store"} {
		config += fmt.Sprintf("  %s: {type: %s, endpoint: %[3]s, retries: 1, region: us-east-1, override: {region: [us-*]}, ignore: [auth.method, auth.addressType], auth: {role: '%[4]s', stsEndpoint: %[3]s}}\n", name, typeName, server.URL, role)
	}
	return config
}

func TestAWSClassesMakeTheirFiles(t *testing.T) { goldens(t, newAWSNode(t), "aws") }
