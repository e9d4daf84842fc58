package scenarios

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/integration/checkout"
	"github.com/lanyardhq/lanyard/integration/cluster/lab"
)

// The values that the plan of a migration prints for a cluster with the four other
// providers install Lanyard, and pods mount with the classes as they are. The other
// providers are there as their DaemonSets, without pods, and the clouds as the test's
// own: their endpoints alone are added to the values.
func TestMigratePlanInstalls(t *testing.T) {
	s := alone(t)
	ctx := t.Context()
	c := s.startClouds()
	s.requestCloudTokens()
	s.cloudClasses()
	s.newAccount(cloudAccount)
	s.rotate(c, "correct horse")
	for _, original := range []string{"vault", "aws", "azure", "gcp"} {
		s.installOriginal(original)
	}
	s.must(s.Uninstall(ctx))

	values := filepath.Join(t.TempDir(), "values.yaml")
	plan := exec.CommandContext(ctx, s.Path("lanyard"), "migrate", "plan", "--kubeconfig", s.Kubeconfig, "--values-only", "--out", values)
	output, err := plan.CombinedOutput()
	var left *exec.ExitError // something is to be seen to, which the test's own settings do
	if err != nil && !(errors.As(err, &left) && left.ExitCode() == 1) {
		t.Fatalf("%v: %s", err, output)
	}
	planned, err := os.ReadFile(values)
	s.must(err)
	for _, want := range []string{"dialects: [lanyard, vault, aws, azure, gcp]", "address: " + lab.VaultAddress, "# was: VAULT_ADDR"} {
		if !strings.Contains(string(planned), want) {
			t.Errorf("%q is not in the planned values:\n%s", want, planned)
		}
	}
	var endpoints []string
	for _, value := range s.cloudValues(c) {
		if strings.HasPrefix(value, "config.stores.") {
			endpoints = append(endpoints, value)
		}
	}
	s.must(s.HelmWith(ctx, []string{values}, endpoints...))

	s.start(pod{Name: "web", Account: cloudAccount, Classes: []string{"from-vault", "from-aws", "from-azure", "from-gcp"}})
	for _, class := range []string{"from-vault", "from-azure", "from-gcp"} {
		s.holds("web", class, map[string]string{"password": "correct horse"})
	}
	s.holds("web", "from-aws", map[string]string{"password": "correct horse", "prod_db_creds": `{"password":"correct horse"}`, "_prod_api_key": "correct horse"})
	s.end("web")
}

// installOriginal creates the DaemonSet of another provider as a default installation has
// it, until the scenario ends. It gets no pods, since its service account is missing.
func (s *scenario) installOriginal(name string) {
	s.t.Helper()
	path, err := checkout.Path("cmd", "testdata", "migrate", name+"-default.yaml")
	s.must(err)
	text, err := os.ReadFile(path)
	s.must(err)
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		var set appsv1.DaemonSet
		s.must(yaml.Unmarshal([]byte(document), &set))
		if set.Kind != "DaemonSet" || strings.Contains(set.Name, "csi-driver") {
			continue
		}
		for i, variable := range set.Spec.Template.Spec.Containers[0].Env {
			if variable.Name == "VAULT_ADDR" {
				set.Spec.Template.Spec.Containers[0].Env[i].Value = lab.VaultAddress
			}
		}
		_, err := s.Kube.CoreV1().Namespaces().Create(s.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: set.Namespace}}, metav1.CreateOptions{})
		if !apierrors.IsAlreadyExists(err) {
			s.must(err)
			s.atEnd(func(ctx context.Context) error {
				return s.Kube.CoreV1().Namespaces().Delete(ctx, set.Namespace, metav1.DeleteOptions{})
			})
		}
		_, err = s.Kube.AppsV1().DaemonSets(set.Namespace).Create(s.t.Context(), &set, metav1.CreateOptions{})
		s.must(err)
		s.atEnd(func(ctx context.Context) error {
			return s.Kube.AppsV1().DaemonSets(set.Namespace).Delete(ctx, set.Name, metav1.DeleteOptions{})
		})
	}
}
