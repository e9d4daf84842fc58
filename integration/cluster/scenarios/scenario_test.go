package scenarios

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/cluster/lab"
)

const (
	// patience is for how long a scenario waits for what has to come: the
	// kubelet tries a mount that failed again after at most two minutes.
	patience = 4 * time.Minute
	// account is the service account of pods that name no other.
	account = "web"
)

// scenario is one story with a namespace of its own. Its methods end the test
// when something fails.
type scenario struct {
	*lab.Lab
	t         *testing.T
	namespace string
}

// beside begins a scenario that runs beside others and disturbs none.
func beside(t *testing.T) *scenario {
	t.Helper()
	t.Parallel()
	return begin(t)
}

// alone begins a scenario that breaks what others need. It runs while no other
// does, and fixes what it broke.
func alone(t *testing.T) *scenario {
	t.Helper()
	return begin(t)
}

func begin(t *testing.T) *scenario {
	t.Helper()
	l, err := lab.Open(cluster.DefaultDir, func(step string) { t.Log(step) })
	if err != nil {
		t.Fatal(err)
	}
	s := &scenario{Lab: l, t: t}
	s.namespace = s.newNamespace()
	s.newAccount(account)
	return s
}

// newNamespace makes a namespace named after the test. When the test ends its
// pods and what is known of them are kept if it failed, and it is deleted.
func (s *scenario) newNamespace() string {
	s.t.Helper()
	name := strings.ToLower(strings.NewReplacer("Test", "", "/", "-", "_", "-").Replace(s.t.Name()))
	made, err := s.Kube.CoreV1().Namespaces().Create(s.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: name[:min(len(name), 40)] + "-",
	}}, metav1.CreateOptions{})
	s.must(err)
	s.atEnd(func(ctx context.Context) error {
		if s.t.Failed() {
			s.keep(ctx, made.Name)
		}
		return s.Kube.CoreV1().Namespaces().Delete(ctx, made.Name, metav1.DeleteOptions{})
	})
	return made.Name
}

// elsewhere is the same scenario in another new namespace, which has a service
// account of the same name.
func (s *scenario) elsewhere() *scenario {
	s.t.Helper()
	other := &scenario{Lab: s.Lab, t: s.t, namespace: s.newNamespace()}
	other.newAccount(account)
	return other
}

// newAccount makes a service account in the scenario's namespace.
func (s *scenario) newAccount(name string) {
	s.t.Helper()
	_, err := s.Kube.CoreV1().ServiceAccounts(s.namespace).Create(s.t.Context(),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	s.must(err)
}

// class applies a native class of the name. Its parameters are YAML, indented as
// below spec.parameters; see text.
func (s *scenario) class(name, parameters string, placeholders ...string) {
	s.t.Helper()
	s.apply(`
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: `+name+`}
spec:
  provider: lanyard
  parameters:
`+parameters, placeholders...)
}

// asWorkload lets a class read from Vault with the role of all workloads.
const asWorkload = `
    stores: |
      vault: {auth: {role: workload}}
`

// authority is what signed Vault's certificate, as YAML text in quotes.
func (s *scenario) authority() string {
	s.t.Helper()
	pem, err := s.Authority()
	s.must(err)
	return strconv.Quote(string(pem))
}

// atEnd does something when the test ends, however it ends.
func (s *scenario) atEnd(do func(context.Context) error) {
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := do(ctx); err != nil {
			s.t.Error(err)
		}
	})
}

// must ends the test if there is an error.
func (s *scenario) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// text is a text of YAML as a user writes it: $namespace stands for the
// scenario's, and each further placeholder is followed by what it stands for.
func (s *scenario) text(yaml string, placeholders ...string) string {
	return strings.NewReplacer(append([]string{"$namespace", s.namespace}, placeholders...)...).Replace(yaml)
}

// apply creates or changes objects, in the scenario's namespace unless they
// name another; see text.
func (s *scenario) apply(yaml string, placeholders ...string) {
	s.t.Helper()
	s.must(s.ApplyIn(s.t.Context(), s.namespace, []byte(s.text(yaml, placeholders...))))
}

// vault makes one call at Vault with the root token.
func (s *scenario) vault(method, path string, body any) {
	s.t.Helper()
	s.must(s.Vault.Call(s.t.Context(), method, path, body, nil))
}

// put writes a secret that the scenario's pods may read, at
// secret/data/$namespace/NAME.
func (s *scenario) put(name string, fields map[string]any) {
	s.t.Helper()
	s.must(s.Put(s.t.Context(), s.namespace, name, fields))
}

// seal seals a value for an object of a service account's classes.
func (s *scenario) seal(account, object, value string) string {
	s.t.Helper()
	sealed, err := s.Seal(s.t.Context(), s.namespace, account, object, []byte(value))
	s.must(err)
	return sealed
}

// file writes a file of the store "files", whose key is $namespace/NAME, by
// renaming it into place.
func (s *scenario) file(name, content string) {
	s.t.Helper()
	dir := filepath.Join(s.Files(), s.namespace)
	s.must(os.MkdirAll(dir, 0o755))
	fresh := filepath.Join(dir, ".fresh")
	s.must(os.WriteFile(fresh, []byte(content), 0o644))
	s.must(os.Rename(fresh, filepath.Join(dir, name)))
	s.atEnd(func(context.Context) error { return os.RemoveAll(dir) })
}

// eventually waits until done returns no error.
func (s *scenario) eventually(what string, done func() error) {
	s.t.Helper()
	s.t.Log("waits until " + what)
	until := time.Now().Add(patience)
	for {
		err := done()
		if err == nil {
			return
		}
		if time.Now().After(until) || s.t.Context().Err() != nil {
			s.t.Fatalf("in vain until %s: %v", what, err)
		}
		time.Sleep(250 * time.Millisecond)
	}
}

// keep leaves the logs of every part and what is known of the namespace's pods
// in a folder, and prints its name.
func (s *scenario) keep(ctx context.Context, namespace string) {
	dir, err := lab.KeepLogs(s.Dir)
	if err != nil {
		s.t.Error(err)
		return
	}
	kubectl, err := s.Kubectl(ctx)
	for name, args := range map[string][]string{
		"pods":    {"describe", "pods", "--namespace", namespace},
		"events":  {"get", "events", "--namespace", namespace, "--sort-by", ".lastTimestamp"},
		"classes": {"get", "secretproviderclasses,secretproviderclasspodstatuses", "--namespace", namespace, "--output", "yaml"},
		"lanyard": {"describe", "pods", "--namespace", lab.Namespace},
	} {
		cmd := exec.CommandContext(ctx, kubectl, append([]string{"--kubeconfig", s.Kubeconfig}, args...)...)
		output, runErr := cmd.CombinedOutput()
		err = errors.Join(err, runErr, os.WriteFile(filepath.Join(dir, name+".txt"), output, 0o600))
	}
	fmt.Fprintf(os.Stderr, "FAILED: %s; its pods, events and the logs of every part: %s\n", s.t.Name(), dir)
	if err != nil {
		s.t.Error(err)
	}
}
