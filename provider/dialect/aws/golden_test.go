package aws_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	awsdialect "github.com/lanyardhq/lanyard/provider/dialect/aws"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/awsparameters"
	"github.com/lanyardhq/lanyard/provider/store/awssecrets"
)

// Each directory of testdata is one class:
//
//	class.yaml   the SecretProviderClass, as its author would write it
//	files/       the files that it makes, byte for byte
//	expect.yaml  the modes that are not 0644
//	native.yaml  the class that lanyard convert makes of it

// world is the AWS of all classes.
func world(t *testing.T) *awstest.Server {
	t.Helper()
	s := awstest.New(t)
	s.Load(t, filepath.Join("testdata", "aws.yaml"))
	s.Add(awstest.Fault{Region: "us-west-1", Fail: awstest.Fail(503, "ServiceUnavailable", "")})
	s.Associate("shop/web", s.PutRole("web", awstest.Role{Accounts: []string{"shop/web"}, Reads: []string{"*"}}))
	return s
}

// cluster answers for the annotation of shop/web and the label of its node.
type cluster struct{}

func (cluster) Annotation(_ context.Context, namespace, account, _ string) (string, error) {
	if namespace+"/"+account != "shop/web" {
		return "", nil
	}
	return awstest.RoleARN("web"), nil
}

func (cluster) NodeLabel(context.Context, string) (string, error) { return "us-east-1", nil }

// newEngine is a provider with the dialect and its stores, as an operator sets them
// up who pins the endpoints alone.
func newEngine(t *testing.T, server *awstest.Server, change func(*config.Config)) *engine.Engine {
	t.Helper()
	return engineAt(t, server, change, time.Now)
}

// engineAt is newEngine by another clock.
func engineAt(t *testing.T, server *awstest.Server, change func(*config.Config), now func() time.Time) *engine.Engine {
	t.Helper()
	platform := aws.New(aws.Options{Cluster: cluster{}})
	t.Cleanup(platform.Close)
	cfg := config.Default()
	cfg.Policy.ReadObjects = true
	settings := map[string]any{
		"endpoint": server.URL, "retries": 1, "timeout": "1m",
		"auth": map[string]any{"stsEndpoint": server.URL, "agentEndpoint": server.URL},
	}
	cfg.Stores = map[string]config.Store{
		awsdialect.SecretsManager: {Type: "aws-secrets-manager", Fields: settings},
		awsdialect.ParameterStore: {Type: "aws-parameter-store", Fields: settings},
	}
	if change != nil {
		change(&cfg)
	}
	e, err := engine.New(engine.Options{
		Config: cfg, Dialects: map[string]spec.Dialect{awsdialect.Name: awsdialect.Parse},
		Types: []store.Type{awssecrets.NewType(platform), awsparameters.NewType(platform)},
		Calls: remote.NewCalls(16), Metrics: prometheus.NewRegistry(), Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func pod(t *testing.T, issuer *identitytest.Issuer) identity.Identity {
	t.Helper()
	as := identity.Identity{Namespace: "shop", ServiceAccount: "web", Pod: "web-0", PodUID: "uid", Tokens: map[string]identity.Token{}}
	for _, audience := range []string{"sts.amazonaws.com", "pods.eks.amazonaws.com"} {
		as.Tokens[audience] = identity.Token{JWT: secret.NewString(issuer.Token(t, "shop/web", audience, time.Now().Add(time.Hour)))}
	}
	return as
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestClassesOfTheOriginalMakeItsFiles(t *testing.T) {
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) < 20 {
		t.Errorf("there are %d classes, want at least 20", len(entries))
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		t.Run(entry.Name(), func(t *testing.T) {
			dir := filepath.Join("testdata", entry.Name())
			var class struct {
				Spec struct {
					Provider   string
					Parameters map[string]string
				}
			}
			var expect struct {
				Modes map[string]string
			}
			readYAML(t, filepath.Join(dir, "class.yaml"), &class)
			readYAML(t, filepath.Join(dir, "expect.yaml"), &expect)
			server := world(t)
			volume, err := newEngine(t, server, nil).Mount(t.Context(), engine.Request{Dialect: class.Spec.Provider, Parameters: class.Spec.Parameters, Identity: pod(t, server.NewIssuer(t)), Mode: 0o644})
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, f := range volume.Files {
				mode := fmt.Sprintf("%04o", f.Mode)
				if want := expect.Modes[f.Path]; mode != want && (want != "" || mode != "0644") {
					t.Errorf("%s has mode %s, want %s", f.Path, mode, want)
				}
				got[f.Path] = string(f.Contents)
			}
			want := filesBelow(t, filepath.Join(dir, "files"))
			for path, contents := range want {
				if file, ok := got[path]; !ok || file != contents {
					t.Errorf("%s holds %q (there: %v), want %q", path, file, ok, contents)
				}
			}
			for path := range got {
				if _, ok := want[path]; !ok {
					t.Errorf("%s is not expected", path)
				}
			}
		})
	}
}

func filesBelow(t *testing.T, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		contents, err := os.ReadFile(path)
		found[strings.TrimPrefix(filepath.ToSlash(path), filepath.ToSlash(root)+"/")] = string(contents)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
