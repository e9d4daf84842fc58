// Package impersonation holds the admission policy against impersonation to
// what docs/impersonation.md promises: a real API server, and users with and
// without the right to use service accounts. It needs neither root nor a node,
// and runs beside a cluster.
//
// The tests share one control plane with three releases of the chart; see
// releases.
package impersonation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanyardhq/lanyard/integration/checkout"
	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/cluster/policies"
	"github.com/lanyardhq/lanyard/integration/deployment"
)

// The namespaces in which the release of each holds.
const enforced, strict, reported = "enforced", "strict", "reported"

// releases are the values of the release for each namespace. It is installed
// into the namespace with lanyard- before the name.
var releases = map[string]string{
	enforced: `
impersonation:
  mode: enforce
  updates: account
  namespaceSelector: {matchLabels: {policy: enforced}}
sync: {enabled: true, admissionPolicies: {requester: true}}
`,
	strict: `
impersonation:
  mode: enforce
  openServiceAccounts: []
  exemptUsers: [robot@example.com]
  namespaceSelector: {matchExpressions: [{key: policy, operator: In, values: [strict]}]}
`,
	reported: `
impersonation:
  mode: report
  updates: account
  namespaceSelector: {matchLabels: {policy: reported}}
`,
}

// policyOf is the name of the policy that holds in a namespace.
func policyOf(namespace string) string { return "lanyard-impersonation.lanyard-" + namespace }

// users may make and change everything that the tests make: anna and robot no
// more than that, ute also use the service account web of each namespace, and
// gus all of them by the role of the chart.
const users = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: author}
rules:
  - {apiGroups: [""], resources: [pods, pods/ephemeralcontainers, replicationcontrollers, secrets], verbs: [create, patch, get]}
  - {apiGroups: [apps], resources: [deployments, replicasets, statefulsets, daemonsets, deployments/scale], verbs: [create, patch, get]}
  - {apiGroups: [batch], resources: [jobs, cronjobs], verbs: [create, patch, get]}
  - {apiGroups: [secrets-store.csi.x-k8s.io], resources: [secretproviderclasses], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: author}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: author}
subjects:
  - {apiGroup: rbac.authorization.k8s.io, kind: User, name: anna}
  - {apiGroup: rbac.authorization.k8s.io, kind: User, name: ute}
  - {apiGroup: rbac.authorization.k8s.io, kind: User, name: gus}
  - {apiGroup: rbac.authorization.k8s.io, kind: User, name: robot@example.com}
  - {apiGroup: rbac.authorization.k8s.io, kind: User, name: system:kube-controller-manager}
`

// place is a namespace with service accounts.
const place = `
---
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s, labels: {policy: %[2]s}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: default, namespace: %[1]s}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: %[1]s}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: api, namespace: %[1]s}
`

// useWeb is the page's example in a namespace; see pageRole.
const useWeb = `
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: use-web, namespace: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: use-web}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ute}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: use-all, namespace: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "lanyard-%[1]s:lanyard-use-service-accounts"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: gus}]
`

// resources are what the policy checks.
var resources = map[string]schema.GroupVersionResource{
	"Pod":                   {Version: "v1", Resource: "pods"},
	"ReplicationController": {Version: "v1", Resource: "replicationcontrollers"},
	"Secret":                {Version: "v1", Resource: "secrets"},
	"Deployment":            {Group: "apps", Version: "v1", Resource: "deployments"},
	"ReplicaSet":            {Group: "apps", Version: "v1", Resource: "replicasets"},
	"StatefulSet":           {Group: "apps", Version: "v1", Resource: "statefulsets"},
	"DaemonSet":             {Group: "apps", Version: "v1", Resource: "daemonsets"},
	"Job":                   {Group: "batch", Version: "v1", Resource: "jobs"},
	"CronJob":               {Group: "batch", Version: "v1", Resource: "cronjobs"},
	"SecretProviderClass":   {Group: "secrets-store.csi.x-k8s.io", Version: "v1", Resource: "secretproviderclasses"},
}

var (
	// server is the API server of all tests, and admin its administrator.
	server *cluster.APIServer
	admin  *policies.Client
	// auditLog is the path of its audit log, and kubectl of the command.
	auditLog, kubectl string
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
	dir, err := os.MkdirTemp("", "lanyard-impersonation-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	plane, err := cluster.NewPlane(ctx, dir)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, plane.Close(context.Background())) }()
	if kubectl, err = plane.Kubectl(ctx); err != nil {
		return 1, err
	}
	auditPolicy, err := filepath.Abs("testdata/audit.yaml")
	if err != nil {
		return 1, err
	}
	auditLog = filepath.Join(dir, "audit.log")
	if server, err = plane.APIServer("--audit-policy-file="+auditPolicy, "--audit-log-path="+auditLog); err != nil {
		return 1, err
	}
	if err := errors.Join(server.Start(ctx), server.Await(ctx), install(ctx)); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

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
	role, err := pageRole()
	if err != nil {
		return err
	}
	manifests = append(manifests, "\n---"+users...)
	for namespace := range releases {
		manifests = fmt.Appendf(manifests, place, namespace, namespace)
		manifests = fmt.Appendf(manifests, place, "lanyard-"+namespace, namespace)
		manifests = append(manifests, "\n---\n"+strings.Replace(role, "namespace: shop", "namespace: "+namespace, 1)...)
		manifests = fmt.Appendf(manifests, useWeb, namespace)
	}
	if err := server.Apply(ctx, manifests); err != nil {
		return err
	}
	for namespace, text := range releases {
		values, err := deployment.Values(text)
		if err != nil {
			return err
		}
		rendered, err := deployment.Render(deployment.Release{Name: "lanyard", Namespace: "lanyard-" + namespace, Values: values})
		if err != nil {
			return err
		}
		if err := server.Apply(ctx, rendered.YAML()); err != nil {
			return fmt.Errorf("%s: %w", namespace, err)
		}
	}
	return nil
}

// pageRole is the Role that docs/impersonation.md shows.
func pageRole() (string, error) {
	block, err := pageBlock("```yaml\n", "kind: Role\n")
	role, _, _ := strings.Cut(block, "---\n")
	return role, err
}

// pageBlock is the block of the page with a text, and how it begins.
func pageBlock(begins, with string) (string, error) {
	page, err := page()
	if err != nil {
		return "", err
	}
	for _, block := range strings.Split(page, begins)[1:] {
		block, _, _ = strings.Cut(block, "```")
		if strings.Contains(block, with) {
			return block, nil
		}
	}
	return "", fmt.Errorf("docs/impersonation.md has no block with %q", with)
}

func page() (string, error) {
	path, err := checkout.Path("docs", "impersonation.md")
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(path)
	return string(text), err
}

// create makes an object as a dry run.
func create(t *testing.T, who *policies.Client, namespace, text string) policies.Try {
	t.Helper()
	object := policies.Object(t, text)
	return func(ctx context.Context) error {
		_, err := who.Dynamic.Resource(resources[object.GetKind()]).Namespace(namespace).Create(ctx, object, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
}

// patch changes an object, or a part of it, as a dry run.
func patch(who *policies.Client, namespace, kind, name, body string, subresources ...string) policies.Try {
	return func(ctx context.Context) error {
		_, err := who.Dynamic.Resource(resources[kind]).Namespace(namespace).Patch(ctx, name, types.StrategicMergePatchType, []byte(body), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}}, subresources...)
		return err
	}
}

// made is an object that the administrator made.
func made(t *testing.T, namespace, text string) {
	t.Helper()
	object := policies.Object(t, text)
	if _, err := admin.Dynamic.Resource(resources[object.GetKind()]).Namespace(namespace).Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}
