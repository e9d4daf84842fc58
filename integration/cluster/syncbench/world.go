package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/faultproxy"
	"github.com/lanyardhq/lanyard/integration/vaultserver"
)

const (
	namespace = "bench"
	account   = "web"
	role      = "bench"
	audience  = "vault"
	admin     = "127.0.0.1:19879" // of the controller
)

// world is an API server, a Vault that asks it whose a token is, and the controller.
type world struct {
	Options
	directory string
	plane     *cluster.Plane
	server    *cluster.APIServer
	config    *rest.Config
	kube      *kubernetes.Clientset
	dynamic   dynamic.Interface
	vault     *vaultserver.Server
	proxy     *faultproxy.Proxy // before Vault; counts
	process   *exec.Cmd         // the controller; nil until it is started
}

func newWorld(ctx context.Context, directory string, o Options) (_ *world, err error) {
	w := &world{Options: o, directory: directory}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	for _, step := range []func(context.Context) error{w.startServer, w.startVault, w.fillVault} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *world) close() error {
	w.stopController()
	if w.proxy != nil {
		w.proxy.Close()
	}
	if w.vault != nil {
		w.vault.Close()
	}
	if w.plane != nil {
		return w.plane.Close(context.Background())
	}
	return nil
}

func (w *world) stopController() {
	if w.process != nil {
		_ = w.process.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended
		_ = w.process.Wait()                          //nolint:errcheck // how it ended does not matter
		w.process = nil
	}
}

func (w *world) startServer(ctx context.Context) (err error) {
	if w.plane, err = cluster.NewPlane(ctx, filepath.Join(w.directory, "plane")); err != nil {
		return err
	}
	if w.server, err = w.plane.APIServer(); err != nil {
		return err
	}
	if err := errors.Join(w.server.Start(ctx), w.server.Await(ctx)); err != nil {
		return err
	}
	if w.config, err = w.server.Config(); err != nil {
		return err
	}
	if w.kube, err = kubernetes.NewForConfig(w.config); err != nil {
		return err
	}
	if w.dynamic, err = dynamic.NewForConfig(w.config); err != nil {
		return err
	}
	definitions, err := cluster.DriverManifests(ctx)
	if err != nil {
		return err
	}
	return w.server.Apply(ctx, append(definitions, fmt.Sprintf(`
---
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: %[2]s, namespace: %[1]s}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: reviewer, namespace: %[1]s}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reviews-tokens}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:auth-delegator}
subjects: [{kind: ServiceAccount, name: reviewer, namespace: %[1]s}]
`, namespace, account)...))
}

func (w *world) startVault(ctx context.Context) (err error) {
	if w.vault, err = vaultserver.Start(ctx, vaultserver.Options{}); err != nil {
		return err
	}
	w.proxy, err = faultproxy.New(w.vault.Address)
	return err
}

func (w *world) fillVault(ctx context.Context) error {
	hour := int64(time.Hour / time.Second)
	reviewer, err := w.kube.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, "reviewer",
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &hour}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	authority := w.config.CAData
	if len(authority) == 0 {
		if authority, err = os.ReadFile(w.config.CAFile); err != nil {
			return err
		}
	}
	for _, call := range []struct {
		method, path string
		body         map[string]any
	}{
		{http.MethodPost, "sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]any{"version": "2"}}},
		{http.MethodPost, "sys/auth/kubernetes", map[string]any{"type": "kubernetes"}},
		{http.MethodPost, "auth/kubernetes/config", map[string]any{"kubernetes_host": w.config.Host, "kubernetes_ca_cert": string(authority), "token_reviewer_jwt": reviewer.Status.Token}},
		{http.MethodPut, "sys/policies/acl/" + role, map[string]any{"policy": `path "secret/data/*" { capabilities = ["read"] }`}},
		{http.MethodPost, "auth/kubernetes/role/" + role, map[string]any{"bound_service_account_names": account, "bound_service_account_namespaces": namespace, "audience": audience, "policies": role, "ttl": "1h"}},
	} {
		if err := w.vault.Call(ctx, call.method, call.path, call.body, nil); err != nil {
			return fmt.Errorf("%s: %w", call.path, err)
		}
	}
	for i := range w.secrets {
		if err := w.put(ctx, i, "first"); err != nil {
			return err
		}
	}
	return nil
}

// put gives a secret of the store a value.
func (w *world) put(ctx context.Context, i int, value string) error {
	return w.vault.Call(ctx, http.MethodPost, "secret/data/"+secretName(i), map[string]any{"data": map[string]any{"password": value}}, nil)
}

func secretName(i int) string { return fmt.Sprintf("secret-%03d", i) }

// configuration is the operator's, with the chart's bounds.
func (w *world) configuration() string {
	return fmt.Sprintf("stores:\n  vault:\n    type: vault\n    address: %s\n    auth: {method: kubernetes, role: %s}\ncache: {bytes: 16Mi}\nbounds: {memory: 16Mi}\n", w.proxy.Address, role)
}

// startController starts the controller as the administrator.
func (w *world) startController(ctx context.Context) error {
	log, err := os.Create(filepath.Join(w.directory, "log"))
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the process has it too
	config := filepath.Join(w.directory, "lanyard.yaml")
	if err := os.WriteFile(config, []byte(w.configuration()), 0o600); err != nil {
		return err
	}
	w.process = exec.CommandContext(ctx, w.binary, "sync", "--config="+config, "--kubeconfig="+w.server.Kubeconfig, "--namespace="+namespace, "--admin-address="+admin) //nolint:gosec // the binary that is measured
	w.process.Stdout, w.process.Stderr = log, log
	// As the chart's limit of 128 MiB has it.
	w.process.Env = []string{"HOME=" + w.directory, "GOMEMLIMIT=102MiB"}
	w.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return w.process.Start()
}
