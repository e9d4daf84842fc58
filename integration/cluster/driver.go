package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientset "k8s.io/client-go/kubernetes"

	"github.com/lanyardhq/lanyard/integration/binaries"
)

const (
	// DriverName is what volumes call the driver by.
	DriverName = "secrets-store.csi.k8s.io"
	// DriverNamespace is where the driver's service account is.
	DriverNamespace = "kube-system"
)

const (
	partDriver    = "driver"
	partRegistrar = "registrar"

	driverModule  = "sigs.k8s.io/secrets-store-csi-driver"
	driverAccount = "secrets-store-csi-driver"
)

// RotationInterval is how old a volume must be before the driver passes the
// kubelet's next request for it on to the provider.
const RotationInterval = 5 * time.Second

// driver is what the driver and what tells the kubelet of it are built from.
var driver = binaries.Source{
	Module:   "driver",
	Packages: []string{driverModule + "/cmd/secrets-store-csi-driver", "./registrar"},
}

// installDriver creates the driver's objects and starts it, under the rights of
// its own service account.
func (c *Cluster) installDriver(ctx context.Context) error {
	manifests, err := DriverManifests(ctx)
	if err != nil {
		return err
	}
	if err := c.Apply(ctx, manifests); err != nil {
		return err
	}
	if err := c.RequestTokens(ctx, "vault"); err != nil {
		return err
	}
	if err := c.driverCredentials(ctx); err != nil {
		return err
	}
	if err := c.StartDriver(ctx); err != nil {
		return err
	}
	registrar, err := binary(ctx, driver, "registrar")
	if err != nil {
		return err
	}
	return c.Start(Part{Name: partRegistrar, Command: []string{
		registrar, "-name", DriverName, "-endpoint", c.DriverSocket(),
		"-socket", c.Path(kubeletRoot, "plugins_registry", DriverName+"-reg.sock"),
	}})
}

// StartDriver starts the driver, which must not run, and waits for its socket.
func (c *Cluster) StartDriver(ctx context.Context) error {
	program, err := binary(ctx, driver, "secrets-store-csi-driver")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(c.DriverSocket()), 0o750); err != nil {
		return err
	}
	if err := c.Start(Part{
		Name: partDriver,
		Command: []string{
			program, "--kubeconfig=" + c.Path("driver.kubeconfig"), "--endpoint=unix://" + c.DriverSocket(), "--nodeid=" + Node,
			"--enable-secret-rotation=true", "--rotation-poll-interval=" + RotationInterval.String(),
			"--metrics-addr=127.0.0.1:8095", "-v=2",
		},
		Env: []string{"KUBE_NODE_NAME=" + Node, "PATH=" + os.Getenv("PATH")},
	}); err != nil {
		return err
	}
	return c.await(ctx, partDriver, func(ctx context.Context) error {
		connection, err := new(net.Dialer).DialContext(ctx, "unix", c.DriverSocket())
		if err != nil {
			return err
		}
		return connection.Close()
	})
}

// StopDriver stops the driver; what is mounted stays.
func (c *Cluster) StopDriver(ctx context.Context) error { return c.Stop(ctx, partDriver) }

// RequestTokens sets the audiences for which the kubelet gives the driver pods'
// tokens; none removes the field from the CSIDriver object.
func (c *Cluster) RequestTokens(ctx context.Context, audiences ...string) error {
	client, err := c.Client()
	if err != nil {
		return err
	}
	requests := make([]string, len(audiences))
	for i, audience := range audiences {
		requests[i] = fmt.Sprintf(`{"audience":%q,"expirationSeconds":3600}`, audience)
	}
	patch := fmt.Appendf(nil, `{"spec":{"tokenRequests":[%s]}}`, strings.Join(requests, ","))
	_, err = client.StorageV1().CSIDrivers().Patch(ctx, DriverName, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// TokenAudiences are the audiences that RequestTokens set.
func (c *Cluster) TokenAudiences(ctx context.Context) ([]string, error) {
	client, err := c.Client()
	if err != nil {
		return nil, err
	}
	object, err := client.StorageV1().CSIDrivers().Get(ctx, DriverName, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return audiences(object.Spec.TokenRequests), nil
}

func audiences(requests []storagev1.TokenRequest) []string {
	list := make([]string, len(requests))
	for i, request := range requests {
		list[i] = request.Audience
	}
	return list
}

// driverCredentials writes a kubeconfig with a token of the driver's service
// account, which its own manifests made.
func (c *Cluster) driverCredentials(ctx context.Context) error {
	client, err := c.Client()
	if err != nil {
		return err
	}
	seconds := int64(lifetime / time.Second)
	token, err := client.CoreV1().ServiceAccounts(DriverNamespace).CreateToken(ctx, driverAccount,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if err := c.write("driver.token", []byte(token.Status.Token)); err != nil {
		return err
	}
	return c.writeKubeconfig("driver.kubeconfig", c.Server(), credentials{TokenFile: c.Path("driver.token")})
}

// DriverManifests are those that the driver's release holds, but for its
// DaemonSet, whose process runs on the node itself here.
func DriverManifests(ctx context.Context) ([]byte, error) {
	module, err := binaries.Folder(driver.Module)
	if err != nil {
		return nil, err
	}
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", driverModule)
	list.Dir = module
	list.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	dir, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("find the module %s: %w", driverModule, err)
	}
	var all []byte
	for _, file := range []string{
		"secrets-store.csi.x-k8s.io_secretproviderclasses.yaml", "secrets-store.csi.x-k8s.io_secretproviderclasspodstatuses.yaml",
		"csidriver.yaml", "rbac-secretproviderclass.yaml", "rbac-secretprovidersyncing.yaml",
	} {
		content, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "deploy", file))
		if err != nil {
			return nil, err
		}
		all = append(append(all, "\n---\n"...), content...)
	}
	return all, nil
}

// Client is the administrator's typed client.
func (c *Cluster) Client() (*clientset.Clientset, error) {
	config, err := c.Config()
	if err != nil {
		return nil, errors.Join(errors.New("the cluster is not up"), err)
	}
	return clientset.NewForConfig(config)
}
