package scenarios

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/cluster/lab"
	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/backend/gcp/gcptest"
	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
)

// The clouds' own names for what the scenario's pod is.
const (
	awsRegion     = "eu-west-1"
	azureVault    = "shop-kv"
	azureClient   = "8f3b2c1d-0000-4000-8000-1234567890ab"
	azureAudience = "api://AzureADTokenExchange"
	gcpPool       = "my-project.svc.id.goog"
	gcpProject    = "projects/my-project"
	cloudAccount  = "clouds"
	providersDir  = "/etc/kubernetes/secrets-store-csi-providers"
)

// One pod mounts four volumes with classes of four other providers, written as
// their users write them, and rotation reaches all of them. The clouds verify
// tokens that the cluster's API server issued, with the keys that it publishes.
func TestFourProvidersInOnePod(t *testing.T) {
	s := alone(t)
	c := s.startClouds()
	s.serveClouds(c)
	for _, dialect := range []string{"lanyard", "vault", "aws", "azure", "gcp"} {
		if info, err := os.Stat(filepath.Join(providersDir, dialect+".sock")); err != nil || info.Mode().Type() != os.ModeSocket {
			t.Errorf("there is no socket for provider: %s: %v", dialect, err)
		}
	}
	s.cloudClasses()
	s.newAccount(cloudAccount)

	s.rotate(c, "correct horse")
	synced := s.syncedCopies("from-vault", "from-aws", "from-azure", "from-gcp")
	s.start(pod{Name: "web", Account: cloudAccount, Classes: []string{"from-vault", "from-aws", "from-azure", "from-gcp"}})
	s.holds("web", "from-vault", map[string]string{"password": "correct horse"})
	s.holds("web", "from-aws", map[string]string{"password": "correct horse", "prod_db_creds": `{"password":"correct horse"}`, "_prod_api_key": "correct horse"})
	s.holds("web", "from-azure", map[string]string{"password": "correct horse"})
	s.holds("web", "from-gcp", map[string]string{"password": "correct horse"})

	for _, secret := range synced {
		s.becomesSecret(secret, "password", "correct horse")
	}
	s.rotate(c, "battery staple")
	for _, secret := range synced {
		s.becomesSecret(secret, "password", "battery staple")
	}
	for _, class := range []string{"from-vault", "from-aws", "from-azure", "from-gcp"} {
		s.becomes("web", class, "password", "battery staple")
	}
	s.becomes("web", "from-aws", "_prod_api_key", "battery staple")

	// Another service account of the namespace has no such rights.
	s.create(pod{Name: "stranger", Classes: []string{"from-gcp"}})
	s.event("stranger", "permission denied", "secretmanager.versions.access")
	for _, logins := range []int{c.aws.Calls("sts:AssumeRoleWithWebIdentity"), c.azure.Calls("token")} {
		if logins != 2 {
			t.Errorf("%d logins of one service account, want 2: the provider's and the controller's", logins)
		}
	}
	// The driver waits for sockets that are gone, and the pods with it.
	s.end("stranger")
	s.end("web")
}

// syncedCopies makes a copy of each class that asks for a Secret without a pod, and
// returns the Secrets' names. The driver would write those of classes that pods mount.
func (s *scenario) syncedCopies(classes ...string) (secrets []string) {
	s.t.Helper()
	config, err := s.Config()
	s.must(err)
	client, err := dynamic.NewForConfig(config)
	s.must(err)
	of := client.Resource(schema.GroupVersionResource{Group: "secrets-store.csi.x-k8s.io", Version: "v1", Resource: "secretproviderclasses"}).Namespace(s.namespace)
	for _, name := range classes {
		class, err := of.Get(s.t.Context(), name, metav1.GetOptions{})
		s.must(err)
		secret := "synced-" + name
		spec, _ := class.Object["spec"].(map[string]any)
		spec["secretObjects"] = []any{map[string]any{"secretName": secret, "type": "Opaque", "data": []any{map[string]any{"objectName": "password", "key": "password"}}}}
		class.Object["metadata"] = map[string]any{"name": secret, "namespace": s.namespace, "annotations": map[string]any{"lanyard.dev/sync": cloudAccount}}
		_, err = of.Create(s.t.Context(), class, metav1.CreateOptions{})
		s.must(err)
		secrets = append(secrets, secret)
	}
	return secrets
}

// cloudClasses applies a class of each of the four providers, as its users write it.
func (s *scenario) cloudClasses() {
	s.t.Helper()
	s.apply(`
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: from-vault}
spec:
  provider: vault
  parameters:
    roleName: workload
    vaultAddress: $vault
    objects: |
      - objectName: "password"
        secretPath: "secret/data/$namespace/db"
        secretKey: "password"
---
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: from-aws}
spec:
  provider: aws
  parameters:
    region: eu-west-1
    objects: |
      - objectName: "prod/db/creds"
        objectType: "secretsmanager"
        jmesPath:
          - path: "password"
            objectAlias: "password"
      - objectName: "/prod/api/key"
        objectType: "ssmparameter"
---
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: from-azure}
spec:
  provider: azure
  parameters:
    usePodIdentity: "false"
    clientID: 8f3b2c1d-0000-4000-8000-1234567890ab
    keyvaultName: shop-kv
    tenantId: 72f988bf-0000-4000-8000-2d7cd011db47
    objects: |
      array:
        - |
          objectName: db-password
          objectType: secret
          objectAlias: password
          objectVersion: ""
---
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: from-gcp}
spec:
  provider: gcp
  parameters:
    secrets: |
      - resourceName: "projects/my-project/secrets/db-password/versions/latest"
        path: "password"
`, "$vault", lab.VaultAddress)
}

// clouds are servers for tests that speak the clouds' protocols, at the node's
// address.
type clouds struct {
	aws   *awstest.Server
	azure *azuretest.Server
	gcp   *gcptest.Server
}

// startClouds starts clouds that trust the cluster's service account tokens and
// let the scenario's account read what rotate writes.
func (s *scenario) startClouds() clouds {
	s.t.Helper()
	const issuer = "https://kubernetes.default.svc.cluster.local"
	keys, err := s.Kube.Discovery().RESTClient().Get().AbsPath("/openid/v1/jwks").DoRaw(s.t.Context())
	s.must(err)
	who := s.namespace + "/" + cloudAccount
	c := clouds{awstest.NewAt(s.t, cluster.Address), azuretest.NewAt(s.t, cluster.Address), gcptest.NewAt(s.t, cluster.Address)}
	for _, trusting := range []*identitytest.Issuers{&c.aws.Issuers, &c.azure.Issuers, &c.gcp.Issuers} {
		s.must(trusting.TrustKeySet(issuer, keys))
	}
	c.aws.PutRole("web", awstest.Role{Accounts: []string{who}, Reads: []string{"*"}})
	c.azure.Federate(azureClient, azuretest.Federation{Issuer: issuer, Subject: identitytest.Subject(who), Audience: azureAudience})
	c.azure.Vault(azureVault).Grant(azureClient, "*")
	c.gcp.PutProvider(s.gcpAudience(), gcptest.Provider{Pool: gcpPool, Issuer: issuer, TokenAudience: gcpPool})
	c.gcp.Grant(gcpProject, gcptest.Workload(gcpPool, s.namespace, cloudAccount))
	return c
}

func (*scenario) gcpAudience() string { return gcptest.GKE("my-project", "europe-west3", "lab") }

// rotate writes a new version of every value.
func (s *scenario) rotate(c clouds, value string) {
	s.t.Helper()
	s.put("db", map[string]any{"password": value})
	c.aws.PutSecret(awsRegion, "prod/db/creds", fmt.Sprintf(`{"password":%q}`, value))
	c.aws.PutParameter(awsRegion, "/prod/api/key", "SecureString", value)
	c.azure.Vault(azureVault).Put("db-password", value)
	c.gcp.Put(gcpProject+"/secrets/db-password", []byte(value))
}

// serveClouds makes Lanyard answer as all providers, and the kubelet hand on
// tokens for all of them, until the scenario ends. set are further values of the chart.
func (s *scenario) serveClouds(c clouds, set ...string) {
	s.t.Helper()
	s.requestCloudTokens()
	s.must(s.Helm(s.t.Context(), append(s.cloudValues(c), set...)...))
}

// requestCloudTokens makes the kubelet hand on tokens for all clouds, and at the end of
// the scenario everything as it was.
func (s *scenario) requestCloudTokens() {
	s.t.Helper()
	before, err := s.TokenAudiences(s.t.Context())
	s.must(err)
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		if err := s.RequestTokens(ctx, before...); err != nil {
			s.t.Error(err)
		}
		if err := s.Helm(ctx); err != nil {
			s.t.Error(err)
		}
	})
	s.must(s.RequestTokens(s.t.Context(), append(before, "sts.amazonaws.com", azureAudience, gcpPool)...))
}

// cloudValues are the values of the chart with which Lanyard answers as all providers.
func (s *scenario) cloudValues(c clouds) []string {
	values := []string{"dialects={lanyard,vault,aws,azure,gcp}", "config.cache.refresh=5s"}
	store := func(name string, settings ...string) {
		for _, setting := range settings {
			values = append(values, "config.stores."+name+"."+setting)
		}
	}
	for name, typeName := range map[string]string{"secretsmanager": "aws-secrets-manager", "ssmparameter": "aws-parameter-store"} {
		store(name, "type="+typeName, "endpoint="+c.aws.URL, "auth.stsEndpoint="+c.aws.URL, "auth.role="+awstest.RoleARN("web"))
	}
	store("azure", "type=azure-key-vault", "endpoint="+c.azure.Endpoint, "authorityHost="+c.azure.Authority, "tls.caCert="+strings.TrimSpace(c.azure.CACert))
	store("gcp", "type=google-secret-manager", "endpoint="+c.gcp.Endpoint, "auth.audience="+s.gcpAudience(), "auth.stsEndpoint="+c.gcp.Identity)
	return values
}
