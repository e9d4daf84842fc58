package scenarios

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/cluster/lab"
)

// docs/quickstart.md works as it is written, both ways, and so do upgrading and
// uninstalling as docs/install.md tells it, which leaves nothing behind. What
// the machine has no network for is there already: the driver, the images, and
// a Vault at another address.
func TestQuickstartUpgradeAndUninstall(t *testing.T) {
	s := alone(t)
	// Two releases would contend for one socket.
	s.atEnd(func(ctx context.Context) error { return s.Helm(ctx) })
	s.must(s.Uninstall(t.Context()))
	s.must(s.TagImage(t.Context(), cluster.Workload, "docker.io/library/busybox:1.36"))

	const provider = "quickstart"
	s.atEnd(func(ctx context.Context) error { return s.removeQuickstart(ctx, provider, "shop") })
	instead := []string{
		"namespace lanyard vault", "namespace " + provider,
		"namespace lanyard", "namespace " + provider, "-n lanyard", "-n " + provider,
		"address: http://vault.vault.svc:8200", "address: " + lab.VaultAddress + "\n      tls: {insecureSkipVerify: true}",
	}
	quickstart := s.page("quickstart.md", instead...)
	s.follow(quickstart, "The driver and the image", "helm repo add", "make build image")
	s.follow(quickstart, "Without a store: a sealed value")
	s.follow(quickstart, "The pod")

	s.shell(quickstart, "kubectl -n shop delete pod web")
	s.prepareVault()
	s.follow(quickstart, "With Vault", "helm repo add", "kubectl -n vault exec -i vault-0")
	s.follow(quickstart, "The pod")
	s.follow(quickstart, "A change", "kubectl -n vault exec vault-0")
	shop := &scenario{Lab: s.Lab, t: t, namespace: "shop"}
	s.vault(http.MethodPost, "secret/data/shop/db", map[string]any{"data": map[string]any{"user": "web", "password": "another"}})
	shop.becomes("web", "secrets", "db/password", "another")

	install := s.page("install.md", instead...)
	values, err := os.ReadFile(filepath.Join(quickstart.dir, "values.yaml"))
	s.must(err)
	s.must(os.WriteFile(filepath.Join(install.dir, "values.yaml"), append(values, "image: {tag: lab}\npodAnnotations: {upgraded: once}\n"...), 0o600))
	before := s.providerPod(provider)
	s.follow(install, "Upgrading")
	if s.providerPod(provider) == before {
		t.Error("the upgrade replaced nothing")
	}
	shop.becomes("web", "secrets", "db/password", "another")
	s.shell(install, "helm rollback lanyard --namespace "+provider+" --wait\nkubectl -n "+provider+" rollout status daemonset/lanyard")
	if using := s.shell(install, s.block(install, "Uninstalling", "dialects=")); !strings.Contains(using, "lanyard shop/web\n") {
		t.Errorf("the class that uses the provider is not listed: %q", using)
	}

	s.follow(quickstart, "From here")
	s.nothingLeft(provider)
}

// prepareVault does at the lab's Vault what the page has done with Vault's own
// command line.
func (s *scenario) prepareVault() {
	s.t.Helper()
	s.vault(http.MethodPost, "secret/data/shop/db", map[string]any{"data": map[string]any{"user": "web", "password": "correct horse battery staple"}})
	s.vault(http.MethodPut, "sys/policies/acl/web", map[string]any{"policy": `path "secret/data/shop/db" { capabilities = ["read"] }`})
	s.vault(http.MethodPost, "auth/kubernetes/role/web", map[string]any{
		"bound_service_account_names": "web", "bound_service_account_namespaces": "shop",
		"audience": "vault", "token_policies": "web", "token_ttl": "1h",
	})
}

// providerPod is the name of the provider's pod that serves the node, in a
// namespace that has one. One that is being replaced may be there beside it.
func (s *scenario) providerPod(namespace string) string {
	s.t.Helper()
	found, err := s.ProviderIn(s.t.Context(), namespace)
	s.must(err)
	return found.Name
}

// nothingLeft fails the test unless a release is gone from the cluster and from
// the node.
func (s *scenario) nothingLeft(namespace string) {
	s.t.Helper()
	sockets, err := os.ReadDir(lab.SocketDirectory)
	s.must(err)
	if len(sockets) > 0 {
		s.t.Errorf("on the node there are %v", sockets)
	}
	labelled := metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=lanyard"}
	roles, err := s.Kube.RbacV1().ClusterRoles().List(s.t.Context(), labelled)
	s.must(err)
	bindings, err := s.Kube.RbacV1().ClusterRoleBindings().List(s.t.Context(), labelled)
	s.must(err)
	classes, err := s.Kube.SchedulingV1().PriorityClasses().List(s.t.Context(), labelled)
	s.must(err)
	if len(roles.Items)+len(bindings.Items)+len(classes.Items) > 0 {
		s.t.Errorf("in the cluster there are %v, %v, %v", roles.Items, bindings.Items, classes.Items)
	}
	if _, err := s.Kube.CoreV1().Namespaces().Get(s.t.Context(), namespace, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		s.t.Errorf("the namespace %s: %v", namespace, err)
	}
}

// removeQuickstart removes what the page would have, had it come to its end.
func (s *scenario) removeQuickstart(ctx context.Context, namespaces ...string) error {
	var failed []error
	for _, namespace := range namespaces {
		if s.t.Failed() {
			s.keep(ctx, namespace)
		}
		if err := s.Kube.CoreV1().Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}
