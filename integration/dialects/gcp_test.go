package dialects

import (
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"

	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/provider/backend/gcp/gcptest"
)

// The pool of the tests' cluster, and the audience of its exchange.
const gcpPool = "shop.svc.id.goog"

var gcpAudience = gcptest.GKE("shop", "europe-west3", "one")

// ownGCP is a Google Cloud that holds what testdata/secrets.yaml of the dialect
// says. The pods of shop/web may read all of it, and so may the node.
func ownGCP(t *testing.T) (*gcptest.Server, *issuer.Issuer) {
	t.Helper()
	return gcpOf(t, filepath.Join(testdata("gcp"), "secrets.yaml"))
}

// gcpOf is a Google Cloud that holds what the file says.
func gcpOf(t *testing.T, file string) (*gcptest.Server, *issuer.Issuer) {
	t.Helper()
	server := gcptest.New(t)
	from, err := issuer.New()
	if err != nil {
		t.Fatal(err)
	}
	server.Trust(issuer.Name, from.PublicKey())
	server.PutProvider(gcpAudience, gcptest.Provider{Pool: gcpPool, Issuer: issuer.Name, TokenAudience: gcpPool})
	server.SetNode("node@shop.iam.gserviceaccount.com", "shop", "europe-west3", "one")
	for _, project := range []string{"projects/shop", "projects/example.com:legacy"} {
		server.Grant(project, gcptest.Workload(gcpPool, "shop", "web"))
		server.Grant(project, gcptest.Account("node@shop.iam.gserviceaccount.com"))
	}
	var secrets []struct {
		Name     string `json:"name"` // of a version, for a parameter
		Versions []struct {
			Text   string `json:"text"`
			Base64 string `json:"base64"`
			State  string `json:"state"`
		} `json:"versions"`
		Aliases   map[string]int `json:"aliases"`
		Parameter string         `json:"parameter"` // its text
		Disabled  bool           `json:"disabled"`
	}
	readYAML(t, file, &secrets)
	for _, secret := range secrets {
		if secret.Parameter != "" {
			server.PutParameter(secret.Name, []byte(secret.Parameter))
			if secret.Disabled {
				server.DisableParameter(secret.Name)
			}
		}
		for i, version := range secret.Versions {
			data, err := base64.StdEncoding.DecodeString(version.Base64)
			if err != nil {
				t.Fatal(err)
			}
			server.Put(secret.Name, append(data, version.Text...))
			if state, ok := secretmanagerpb.SecretVersion_State_value[version.State]; ok {
				server.SetState(secret.Name, i+1, secretmanagerpb.SecretVersion_State(state))
			}
		}
		for alias, number := range secret.Aliases {
			server.SetAlias(secret.Name, alias, number)
		}
	}
	return server, from
}

// newGCPNode is a node whose operator names the stores that classes of the
// dialect read from.
func newGCPNode(t *testing.T, server *gcptest.Server, from *issuer.Issuer) *node {
	t.Helper()
	return newNode(t, "lanyard,gcp", gcpConfig(server), from, gcpPool)
}

func gcpConfig(server *gcptest.Server) string {
	return fmt.Sprintf(`
stores:
  gcp:
    type: google-secret-manager
    endpoint: %[1]s
    regionalEndpoint: %[2]s
    parameters: {endpoint: "%[1]s", regionalEndpoint: "%[2]s"}
    auth: {audience: "%[4]s", stsEndpoint: "%[3]s", iamEndpoint: "%[3]s"}
  gcp-provider-adc:
    type: google-secret-manager
    allow: ["shop/*"]
    endpoint: %[1]s
    parameters: {endpoint: "%[1]s"}
    auth: {method: metadata, metadataEndpoint: "%[3]s"}
`, server.Endpoint, server.RegionalEndpoint, server.Identity, gcpAudience)
}

func TestGCPClassesMakeTheirFiles(t *testing.T) {
	server, from := ownGCP(t)
	goldens(t, newGCPNode(t, server, from), "gcp")
}

// gcpClass is a class with these secrets.
func gcpClass(secrets, auth string) manifest {
	var m manifest
	m.Spec.Provider = "gcp"
	m.Spec.Parameters = map[string]string{"secrets": secrets}
	if auth != "" {
		m.Spec.Parameters["auth"] = auth
	}
	return m
}

// What the original reads once for each entry costs one call for each secret,
// and one exchange for each service account.
func TestGCPClassCostsOneCallForEachSecret(t *testing.T) {
	server, from := ownGCP(t)
	n := newGCPNode(t, server, from)
	class := gcpClass(`
- {resourceName: projects/shop/secrets/db/versions/latest, path: db.json}
- {resourceName: projects/shop/secrets/db/versions/latest, path: user, extractJSONKey: user}
- {resourceName: projects/shop/secrets/db/versions/latest, path: password, extractJSONKey: password}
- {resourceName: projects/shop/secrets/testsecret/versions/latest, path: token}
`, "")
	for range 10 {
		if err := n.mount(t.Context(), n.pod(t, "shop", "web"), class); err != nil {
			t.Fatal(err)
		}
	}
	if reads, exchanges := server.Calls("AccessSecretVersion"), server.Calls("token"); reads != 2 || exchanges != 1 {
		t.Errorf("%d reads and %d exchanges for ten mounts of two secrets, want 2 and 1", reads, exchanges)
	}
}

func TestGCPClassThatCannotBeServedSaysWhy(t *testing.T) {
	server, from := ownGCP(t)
	n := newGCPNode(t, server, from)
	for name, test := range map[string]struct {
		class          manifest
		namespace, who string
		want           []string
	}{
		"several secrets at once": {
			gcpClass("- {resourceName: projects/shop/secrets/none/versions/latest, path: a}\n- {resourceName: projects/shop/secrets/testsecret/versions/9, fileName: b}\n- {resourceName: projects/shop/secrets/testsecret/versions/1, path: c}", ""), "shop", "web",
			[]string{"object 1 (a)", "projects/shop/secrets/none/versions/latest: there is no such secret", "object 2 (b)", "versions/9"},
		},
		"no key": {
			gcpClass("- {resourceName: projects/shop/secrets/db/versions/1, path: a, extractJSONKey: pasword}", ""), "shop", "web",
			[]string{"object 1 (a)", "selects nothing"},
		},
		"no JSON": {
			gcpClass("- {resourceName: projects/shop/secrets/testsecret/versions/1, path: a, extractJSONKey: x}", ""), "shop", "web",
			[]string{"object 1 (a)", "not JSON"},
		},
		"a stranger": {
			gcpClass("- {resourceName: projects/shop/secrets/testsecret/versions/1, path: a}", ""), "shop", "stranger",
			[]string{"permission denied for the workload identity of service account stranger in namespace shop", "roles/secretmanager.secretAccessor"},
		},
		"provider-adc for others": {
			gcpClass("- {resourceName: projects/shop/secrets/testsecret/versions/1, path: a}", "provider-adc"), "bank", "web",
			[]string{"gcp-provider-adc", "bank/web"},
		},
		"a wrong name": {
			gcpClass("- {resourceName: projects/shop/secrets/a%2fb/versions/0, path: a}", ""), "shop", "web",
			[]string{"object 1 (a): resourceName: the secret's name must be", "version's number"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := n.mount(t.Context(), n.pod(t, test.namespace, test.who), test.class)
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
		})
	}
}

// Without a store of the operator's, a class reads as its pod alone.
func TestGCPProviderIdentityIsTheOperatorsToLend(t *testing.T) {
	_, from := ownGCP(t)
	n := newNode(t, "gcp", "{}", from, gcpPool)
	err := n.mount(t.Context(), n.pod(t, "shop", "web"), gcpClass("- {resourceName: projects/shop/secrets/testsecret/versions/1, path: a}", "provider-adc"))
	want := "auth: reads with the node's own credentials (metadata), so only a store that the operator's configuration file names may have it"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

// The classes of GKE's add-on are the same, under its own name.
func TestClassesOfGKEsAddOnAreServedOnItsSocket(t *testing.T) {
	server, from := ownGCP(t)
	n := newNode(t, "gke", gcpConfig(server), from, gcpPool)
	class := gcpClass("- {resourceName: projects/shop/secrets/testsecret/versions/1, path: a}", "")
	class.Spec.Provider = "gke"
	if err := n.mount(t.Context(), n.pod(t, "shop", "web"), class); err != nil {
		t.Error(err)
	}
}
