package dialects

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/cmd"
	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/integration/postgres"
	"github.com/lanyardhq/lanyard/integration/vaultserver"
	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/backend/gcp/gcptest"
	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
)

func galleryDir() string { return filepath.Join("..", "..", "docs", "gallery") }

// gallery is a node with all stores that the gallery's classes read, which hold
// what they ask for. The pods of shop/web may read it.
type gallery struct {
	node       *node
	postgres   *postgres.Server
	ring       string // the key ring's file
	public     string // its public part's
	files      string // the root of the store files
	ciphertext string // of KMS, in base64
	config     string // the file of the operator's configuration
}

// The names that the gallery's classes use.
const (
	galleryRegion = "eu-west-1"
	galleryDown   = "eu-central-1" // a region that is unavailable
	galleryClient = "8f3b2c1d-0000-4000-8000-1234567890ab"
)

// galleryPassword holds what formats of files have a meaning of their own for.
const galleryPassword = ` it's "p\a:s@s/w+o$rd`

func newGallery(t *testing.T) *gallery {
	t.Helper()
	from, err := issuer.New()
	if err != nil {
		t.Fatal(err)
	}
	g := &gallery{postgres: postgres.New(t), files: t.TempDir()}
	dir := t.TempDir()
	g.ring, g.public = filepath.Join(dir, "ring.yaml"), filepath.Join(dir, "public.yaml")
	var output strings.Builder
	if code := cmd.Execute([]string{"keygen", "--out", g.ring, "--cluster", "prod", "--public-out", g.public}, strings.NewReader(""), &output, &output); code != 0 {
		t.Fatalf("keygen ends with %d: %s", code, output.String())
	}
	g.write(t, filepath.Join(g.files, "shop", "db-host"), "db.shop\n")
	vault := g.vault(t, from)
	aws := g.aws(t, from)
	azure := g.azure(t, from)
	authority := filepath.Join(dir, "azure.pem")
	g.write(t, authority, azure.CACert)
	gcp, audience := g.gcp(t, from)
	amazon := func(typeName string) string {
		return fmt.Sprintf("{type: %s, endpoint: %[2]s, retries: 0, auth: {stsEndpoint: %[2]s, agentEndpoint: %[2]s}}", typeName, aws.URL)
	}
	configuration := fmt.Sprintf(`
cluster: prod
stores:
  vault: {type: vault, address: %s, auth: {method: jwt}}
  secretsmanager: %s
  ssmparameter: %s
  kms: %s
  azure: {type: azure-key-vault, tenantID: %s, endpoint: '%s', authorityHost: '%s', tls: {caCertFile: %s}}
  gcp: {type: google-secret-manager, endpoint: '%s', regionalEndpoint: '%s', auth: {audience: '%s', stsEndpoint: '%s'}}
  files: {type: file, root: %s, allow: ["shop/*"]}
  sealed: {type: sealed, keyRing: %s}
`, vault.Address, amazon("aws-secrets-manager"), amazon("aws-parameter-store"), amazon("aws-kms"),
		azuretest.Tenant, azure.Endpoint, azure.Authority, authority,
		gcp.Endpoint, gcp.RegionalEndpoint, audience, gcp.Identity, g.files, g.ring)
	g.config = filepath.Join(dir, "lanyard.yaml")
	g.write(t, g.config, configuration)
	g.node = newNode(t, "lanyard,vault,aws,azure,gcp", configuration, from, "vault", "sts.amazonaws.com", "pods.eks.amazonaws.com", azureAudience, gcpPool)
	return g
}

func (g *gallery) write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// vault is a Vault with the engines that the classes name.
func (g *gallery) vault(t *testing.T, from *issuer.Issuer) *vaultserver.Server {
	t.Helper()
	server := vaultserver.New(t, vaultserver.Options{})
	type fields = map[string]any
	for _, call := range []struct {
		path string
		body fields
	}{
		{"sys/mounts/secret", fields{"type": "kv", "options": fields{"version": "2"}}},
		{"secret/data/shop/db", fields{"data": fields{"user": "app", "password": galleryPassword}}},
		{"secret/data/shop/cluster", fields{"data": fields{
			"hosts":   []any{fields{"name": "db-0", "role": "primary"}, fields{"name": "db-1", "role": "replica"}, fields{"name": "db-2", "role": "replica"}},
			"tls.crt": "certificate",
		}}},
		{"secret/data/shop/registry", fields{"data": fields{"user": "robot", "password": galleryPassword}}},
		{"secret/data/shop/licence", fields{"data": fields{"key": "ABCD-EFGH"}}},
		{"sys/mounts/pki", fields{"type": "pki"}},
		{"pki/root/generate/internal", fields{"common_name": "root", "ttl": "700h", "key_type": "ec"}},
		{"pki/roles/web", fields{"allow_any_name": true, "key_type": "ec", "max_ttl": "48h"}},
		{"sys/mounts/database", fields{"type": "database"}},
		{"database/config/shop", fields{
			"plugin_name": "postgresql-database-plugin", "allowed_roles": "web", "username": g.postgres.User, "password": g.postgres.Password,
			"connection_url": fmt.Sprintf("postgresql://{{username}}:{{password}}@127.0.0.1:%s/postgres?sslmode=disable", g.postgres.Port),
		}},
		{"database/roles/web", fields{"db_name": "shop", "default_ttl": "1h", "max_ttl": "24h", "creation_statements": `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';`}},
		{"sys/mounts/ssh", fields{"type": "ssh"}},
		{"ssh/config/ca", fields{"generate_signing_key": true}},
		{"ssh/roles/deploy", fields{"key_type": "ca", "allow_user_certificates": true, "allowed_users": "deploy", "ttl": "30m"}},
		{"sys/mounts/totp", fields{"type": "totp"}},
		{"totp/keys/partner", fields{"key": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "issuer": "partner", "account_name": "shop"}},
		{"sys/policies/acl/web", fields{"policy": `
path "secret/data/shop/*" { capabilities = ["read"] }
path "pki/issue/web"      { capabilities = ["create", "update"] }
path "database/creds/web" { capabilities = ["read"] }
path "ssh/sign/deploy"    { capabilities = ["create", "update"] }
path "totp/code/partner"  { capabilities = ["read"] }`}},
		{"sys/auth/jwt", fields{"type": "jwt"}},
		{"auth/jwt/config", fields{"jwt_validation_pubkeys": []string{from.PublicKeyPEM()}, "bound_issuer": issuer.Name}},
		{"auth/jwt/role/web", fields{
			"role_type": "jwt", "user_claim": "sub", "bound_audiences": []string{"vault"},
			"bound_subject": identitytest.Subject("shop/web"), "token_policies": []string{"web"}, "token_ttl": "1h",
		}},
	} {
		server.Must(t, http.MethodPost, call.path, call.body)
	}
	return server
}

// aws is an AWS with one region that is down, and a role that the pods have by
// web identity and by Pod Identity.
func (g *gallery) aws(t *testing.T, from *issuer.Issuer) *awstest.Server {
	t.Helper()
	server := awstest.New(t)
	server.Trust(issuer.Name, from.PublicKey())
	keys := server.NewKMS()
	key := keys.Create(t, galleryRegion, false)
	role := server.PutRole("web", awstest.Role{Accounts: []string{"shop/web"}, Reads: []string{"*"}})
	server.Associate("shop/web", role)
	server.Add(awstest.Fault{Region: galleryDown, Fail: awstest.Fail(http.StatusServiceUnavailable, "ServiceUnavailable", "")})
	server.PutSecret(galleryRegion, "shop/payment", `{"token":"first"}`)
	server.PutSecret(galleryRegion, "shop/payment", `{"token":"second"}`)
	server.PutBinarySecret(galleryRegion, "shop/keystore", []byte("\xfe\xed\xfe\xed"))
	server.PutParameter(galleryRegion, "/shop/api-key", "SecureString", "k3y")
	server.PutParameter(galleryRegion, "/shop/config/cache", "String", "redis")
	server.PutParameter(galleryRegion, "/shop/config/queue", "String", "nats")
	g.ciphertext = base64.StdEncoding.EncodeToString(keys.Encrypt(t, key, []byte("hunter2"), map[string]string{"app": "web"}))
	return server
}

// azure is an Azure with the vault shop-kv and the dialect's certificate web.
func (g *gallery) azure(t *testing.T, from *issuer.Issuer) *azuretest.Server {
	t.Helper()
	server := azuretest.New(t)
	server.Trust(issuer.Name, from.PublicKey())
	server.Federate(galleryClient, azuretest.Federation{Issuer: issuer.Name, Subject: identitytest.Subject("shop/web"), Audience: azureAudience})
	vault := server.Vault("shop-kv")
	vault.Grant(galleryClient, "*")
	content, err := os.ReadFile(filepath.Join(testdata("azure"), "vault.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := vault.Load(content); err != nil {
		t.Fatal(err)
	}
	vault.Put("db-password", "hunter2")
	vault.PutKey("signing", azuretest.JWK{"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})
	return server
}

// gcp is a Google Cloud with the project my-project.
func (g *gallery) gcp(t *testing.T, from *issuer.Issuer) (server *gcptest.Server, audience string) {
	t.Helper()
	server = gcptest.New(t)
	server.Trust(issuer.Name, from.PublicKey())
	server.PutProvider(gcpAudience, gcptest.Provider{Pool: gcpPool, Issuer: issuer.Name, TokenAudience: gcpPool})
	server.Grant("projects/my-project", gcptest.Workload(gcpPool, "shop", "web"))
	for _, secret := range [][2]string{
		{"secrets/db-password", "hunter1"}, {"secrets/db-password", "hunter2"},
		{"secrets/db", `{"user":"app"}`}, {"secrets/settings", "smtp: {user: shop}\n"},
		{"locations/europe-west3/secrets/iban", "DE02120300000000202051"},
	} {
		server.Put("projects/my-project/"+secret[0], []byte(secret[1]))
	}
	return server, gcpAudience
}

var operatorsFile = regexp.MustCompile("(?s)```yaml\n(cluster: .*?)```")

// pageConfiguration is the configuration that the page shows, with the files
// that it names in their places here.
func (g *gallery) pageConfiguration(t *testing.T, page string) string {
	t.Helper()
	shown := operatorsFile.FindStringSubmatch(page)
	if shown == nil {
		t.Fatal("the page shows no configuration")
	}
	path := filepath.Join(t.TempDir(), "lanyard.yaml")
	g.write(t, path, strings.NewReplacer("/etc/lanyard/secrets/key-ring/ring.yaml", g.ring, "/etc/lanyard/shared", g.files).Replace(shown[1]))
	return path
}

func unmarshal(t *testing.T, text string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), into); err != nil {
		t.Fatal(err)
	}
}
