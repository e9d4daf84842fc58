package azure_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	dialect "github.com/lanyardhq/lanyard/provider/dialect/azure"
	"github.com/lanyardhq/lanyard/provider/dialect/lanyard"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/azure"
)

const audience = "api://AzureADTokenExchange"

// node is an engine before the vault of testdata/vault.yaml.
type node struct {
	*engine.Engine
	azure *azuretest.Server
	pod   identity.Identity
	// passed is how far the engine's clock is ahead of the machine's.
	passed *atomic.Int64
	// options are the dialect's.
	options *dialect.Options
	// annotations are those of the pod's service account; nil is what nobody may read.
	annotations map[string]string
}

// Annotation implements the cluster of the store.
func (n *node) Annotation(_ context.Context, _, _, name string) (string, error) {
	return n.annotations[name], nil
}

func newNode(t *testing.T) *node {
	t.Helper()
	server := azuretest.New(t)
	content, err := os.ReadFile(filepath.Join("testdata", "vault.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	vault := server.Vault("web-kv")
	if err := vault.Load(content); err != nil {
		t.Fatal(err)
	}
	for _, client := range []string{"client-of-web", "client-of-nodes", "client-of-secret"} {
		vault.Grant(client, "*")
	}
	server.Federate("client-of-web", azuretest.Federation{Issuer: azuretest.IssuerName, Subject: identitytest.Subject("shop/web"), Audience: audience})
	server.SetSecret("client-of-secret", "s3cr3t~value")
	server.SetMachine("", "client-of-nodes")
	connection := func(auth map[string]any) map[string]any {
		return map[string]any{
			"endpoint": server.Endpoint, "retries": 1, "timeout": "1m", "authorityHost": server.Authority, "tls": map[string]any{"caCert": server.CACert}, "auth": auth,
		}
	}
	cfg := config.Default()
	cfg.Stores = map[string]config.Store{
		dialect.StoreName: {Type: azure.TypeName, Fields: connection(map[string]any{})},
		dialect.NodeStoreName: {Type: azure.TypeName, Allow: []string{"shop/web"}, Fields: connection(map[string]any{
			"method": "managedIdentity", "identityID": "client-of-nodes", "metadataEndpoint": server.Metadata,
		})},
	}
	calls := remote.NewCalls(cfg.Bounds.StoreCalls)
	passed := new(atomic.Int64)
	n := &node{azure: server, passed: passed, options: &dialect.Options{}}
	parse := func(parameters map[string]string) (*spec.Class, error) { return n.options.Parse(parameters) }
	eng, err := engine.New(engine.Options{
		Config: cfg, Dialects: map[string]spec.Dialect{dialect.Name: parse, lanyard.Name: lanyard.Parse},
		Types: []store.Type{azure.NewType(azure.Options{Calls: calls, Cluster: n, ClusterAllowed: func() bool { return n.annotations != nil }})}, Calls: calls, Metrics: prometheus.NewRegistry(), Now: func() time.Time { return time.Now().Add(time.Duration(passed.Load())) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(eng.Close)
	expires := time.Now().Add(time.Hour)
	token := server.NewIssuer(t).Token(t, "shop/web", audience, expires)
	n.Engine, n.pod = eng, identity.Identity{
		Namespace: "shop", ServiceAccount: "web", Pod: "web-1", PodUID: "uid-of-web-1",
		Tokens: map[string]identity.Token{audience: {JWT: secret.NewString(token), Expires: expires}},
	}
	return n
}

// class is as much of a SecretProviderClass as matters here.
type class struct {
	Spec struct {
		Provider   string            `yaml:"provider"`
		Parameters map[string]string `yaml:"parameters"`
	} `yaml:"spec"`
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// Each directory of testdata has a class, the files that the original's
// documentation says it makes, and the native class that it is converted to.
func TestClassesMakeTheFilesThatTheOriginalMakes(t *testing.T) {
	n := newNode(t)
	classes, err := filepath.Glob(filepath.Join("testdata", "*", "class.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	const least = 20
	if len(classes) < least {
		t.Errorf("there are %d classes, want at least %d", len(classes), least)
	}
	for _, path := range classes {
		dir := filepath.Dir(path)
		for _, file := range []string{"class", "native"} {
			t.Run(filepath.Base(dir)+" "+file, func(t *testing.T) {
				var c class
				readYAML(t, filepath.Join(dir, file+".yaml"), &c)
				volume, err := n.Mount(t.Context(), engine.Request{Dialect: c.Spec.Provider, Parameters: c.Spec.Parameters, Identity: n.pod})
				if err != nil {
					t.Fatal(err)
				}
				compare(t, volume, dir)
			})
		}
	}
}

func compare(t *testing.T, volume *engine.Volume, dir string) {
	t.Helper()
	var expect struct {
		Modes map[string]string `yaml:"modes"`
	}
	if _, err := os.Stat(filepath.Join(dir, "expect.yaml")); err == nil {
		readYAML(t, filepath.Join(dir, "expect.yaml"), &expect)
	}
	want := map[string]string{}
	err := fs.WalkDir(os.DirFS(filepath.Join(dir, "files")), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		contents, err := os.ReadFile(filepath.Join(dir, "files", path))
		want[path] = string(contents)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range volume.Files {
		contents, expected := want[file.Path]
		if !expected || contents != string(file.Contents) {
			t.Errorf("%s holds\n%q, want\n%q", file.Path, file.Contents, contents)
		}
		delete(want, file.Path)
		mode := strings.TrimPrefix(file.Mode.String(), "-")
		expectedMode := "rw-r--r--"
		if octal := expect.Modes[file.Path]; octal != "" {
			expectedMode = map[string]string{"0400": "r--------", "0640": "rw-r-----", "0755": "rwxr-xr-x"}[octal]
		}
		if mode != expectedMode {
			t.Errorf("%s has the mode %s, want %s", file.Path, mode, expectedMode)
		}
	}
	for path := range want {
		t.Errorf("there is no file %s", path)
	}
}

func TestAServicePrincipalReadsWithThePodsOwnSecret(t *testing.T) {
	n := newNode(t)
	pod := n.pod
	pod.Tokens = nil
	pod.Credentials = map[string]secret.Bytes{"clientid": secret.NewString("client-of-secret"), "clientsecret": secret.NewString("s3cr3t~value")}
	volume, err := n.Mount(t.Context(), engine.Request{Dialect: dialect.Name, Identity: pod, Parameters: map[string]string{
		"keyvaultName": "web-kv", "tenantID": azuretest.Tenant, "objects": "array:\n- |\n  objectName: secret1\n  objectType: secret\n",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(volume.Files) != 1 || string(volume.Files[0].Contents) != "value of secret1" {
		t.Errorf("the volume holds %v", volume.Files)
	}
}

// What one pod's mount costs, 110 pods' do.
func TestCallsOfManyPods(t *testing.T) {
	n := newNode(t)
	var c class
	readYAML(t, filepath.Join("testdata", "certificate-in-three", "class.yaml"), &c)
	for range 110 {
		if _, err := n.Mount(t.Context(), engine.Request{Dialect: dialect.Name, Parameters: c.Spec.Parameters, Identity: n.pod}); err != nil {
			t.Fatal(err)
		}
	}
	for action, want := range map[string]int{"token": 1, "discovery": 1, "challenge": 0, "get secrets": 1, "get keys": 1, "get certificates": 1} {
		if got := n.azure.Calls(action); got != want {
			t.Errorf("%d calls %q, want %d", got, action, want)
		}
	}
}
