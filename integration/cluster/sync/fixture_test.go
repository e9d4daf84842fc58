// Package sync holds the rights and the admission policies of the controller
// that writes Secrets to what docs/sync.md promises: a real API server, with
// the chart's objects and the tokens of the chart's service account. It needs
// neither root nor a node, and runs beside a cluster.
//
// The tests share one control plane with three releases of the chart; see
// releases.
package sync

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	restclient "k8s.io/client-go/rest"

	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/cluster/policies"
	"github.com/lanyardhq/lanyard/integration/deployment"
)

const (
	// release is the name of each release, and account that of its controller.
	release, account = "lanyard", "lanyard-sync"

	// plain, full and limited are the namespaces of the releases.
	plain, full, limited = "lanyard-plain", "lanyard-full", "lanyard-limited"

	// shop is where classes and Secrets are, and other a namespace beside it.
	shop, other = "shop", "other"
)

// releases are the values of each namespace's release.
var releases = map[string]string{
	plain: "sync: {enabled: true}",
	full: `
config: {policy: {readObjects: true}}
versionKey: {create: true}
sync:
  enabled: true
  secretSyncs: {enabled: true, crd: true}
  restart: {enabled: true}
  admissionPolicies: {requester: true}
  allowServiceAccounts: [kube-system/listed]
`,
	limited: `
versionKey: {create: false, secret: lanyard-version-key}
config:
  policy: {classStores: false}
  stores: {vault: {type: vault, address: 'https://vault', auth: {method: kubernetes, audience: vault-of-prod}}}
sync:
  enabled: true
  namespaces: [shop]
  secretTypes: [Opaque, example.com/licence]
`,
}

var (
	classes      = schema.GroupVersionResource{Group: "secrets-store.csi.x-k8s.io", Version: "v1", Resource: "secretproviderclasses"}
	secretSyncs  = schema.GroupVersionResource{Group: "secret-sync.x-k8s.io", Version: "v1alpha1", Resource: "secretsyncs"}
	deployments  = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	statefulSets = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "statefulsets"}
	daemonSets   = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "daemonsets"}
)

// client is the API server for one user, and try one request.
type (
	client = policies.Client
	try    = policies.Try
)

// What is wanted of a request.
var (
	accepted, withoutRight, eventually = policies.Accepted, policies.WithoutRight, policies.Eventually
)

var (
	// server is the API server of all tests, and admin its administrator.
	server *cluster.APIServer
	admin  *client
	// controllers are the controllers' own accesses, by the release's namespace.
	controllers = map[string]*client{}
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "lanyard-sync-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	plane, err := cluster.NewPlane(ctx, dir)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, plane.Close(context.Background())) }()
	if server, err = plane.APIServer(); err != nil {
		return 1, err
	}
	if err := errors.Join(server.Start(ctx), server.Await(ctx), install(ctx)); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// install installs the releases, and waits until all their policies hold.
func install(ctx context.Context) error {
	config, err := server.Config()
	if err != nil {
		return err
	}
	if admin, err = policies.NewClient(config); err != nil {
		return err
	}
	manifests, err := cluster.DriverManifests(ctx)
	if err != nil {
		return err
	}
	for _, name := range []string{shop, other, plain, full, limited} {
		manifests = fmt.Appendf(manifests, "\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n", name)
	}
	for _, name := range []string{shop + "/web", shop + "/api", other + "/web", "kube-system/listed", "kube-system/root"} {
		namespace, account, _ := strings.Cut(name, "/")
		manifests = fmt.Appendf(manifests, "\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: %s, namespace: %s}\n", account, namespace)
	}
	if err := server.Apply(ctx, manifests); err != nil {
		return err
	}
	for namespace, text := range releases {
		values, err := deployment.Values(text)
		if err != nil {
			return err
		}
		rendered, err := deployment.Render(deployment.Release{Name: release, Namespace: namespace, Values: values})
		if err != nil {
			return err
		}
		if err := server.Apply(ctx, rendered.YAML()); err != nil {
			return fmt.Errorf("%s: %w", namespace, err)
		}
		token, err := admin.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		own := restclient.AnonymousClientConfig(config)
		own.BearerToken, own.QPS = token.Status.Token, -1
		if controllers[namespace], err = policies.NewClient(own); err != nil {
			return err
		}
	}
	return nil
}

// impersonate is the API server for another user.
func impersonate(t *testing.T, user string) *client { return admin.As(t, user) }

// refused wants a request to be refused by a policy of the release, with a text,
// and nothing of a Secret in the answer.
func refused(t *testing.T, namespace, policy, text string, do try) {
	t.Helper()
	policies.Refused(t, fmt.Sprintf("%s-sync-%s.%s", release, policy, namespace), text, func(ctx context.Context) error {
		err := do(ctx)
		if err != nil && strings.Contains(err.Error(), value) {
			t.Fatalf("the answer holds the Secret: %v", err)
		}
		return err
	})
}

// value is what each Secret holds that the administrator makes.
const value = "hunter2-is-not-to-be-read"

// newClass makes a class and returns its UID.
func newClass(t *testing.T, name string) types.UID {
	t.Helper()
	class := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass",
		"metadata": map[string]any{"name": name, "labels": map[string]any{"team": "shop"}, "annotations": map[string]any{"note": "kept"}},
		"spec":     map[string]any{"provider": "lanyard", "parameters": map[string]any{"objects": "[]"}},
	}}
	made, err := admin.Dynamic.Resource(classes).Namespace(shop).Create(t.Context(), class, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made.GetUID()
}

// newSecret makes a Secret as the administrator.
func newSecret(t *testing.T, secret *corev1.Secret) {
	t.Helper()
	secret.Data = map[string][]byte{"password": []byte(value)}
	if _, err := admin.CoreV1().Secrets(secret.Namespace).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// dry are the options of a dry run.
var (
	dryCreate = metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: account}
	dryPatch  = metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: account}
)
