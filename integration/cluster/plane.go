package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/lanyardhq/lanyard/internal/freeport"
)

// Plane is a control plane without a node: an etcd and API servers on it. It
// listens on free ports of 127.0.0.1, needs no root, and ends with the program
// that started it, so that any number run beside each other and beside a
// cluster.
type Plane struct {
	cluster *Cluster
	servers int
}

// APIServer is an API server of a Plane.
type APIServer struct {
	// Name is its part's.
	Name string
	// Kubeconfig is the path of its administrator's kubeconfig.
	Kubeconfig string

	cluster *Cluster
	port    string
	flags   []string
	client  *http.Client
}

// NewPlane makes a control plane below dir, which must not exist or be empty,
// and starts its etcd. What it started before an error is ended.
func NewPlane(ctx context.Context, dir string) (*Plane, error) {
	if err := those.build(ctx); err != nil {
		return nil, err
	}
	ports, err := freeport.Find(2)
	if err != nil {
		return nil, err
	}
	c := &Cluster{
		Dir: dir, Kubeconfig: filepath.Join(dir, "kubeconfig"), mortal: true,
		at: endpoints{address: "127.0.0.1", etcd: ports[0], etcdPeer: ports[1]},
	}
	for _, folder := range []string{"logs", "run"} {
		if err := os.MkdirAll(c.Path(folder), 0o700); err != nil {
			return nil, err
		}
	}
	p := &Plane{cluster: c}
	if err := errors.Join(c.makeCredentials(), c.startEtcd(ctx)); err != nil {
		return nil, errors.Join(err, p.Close(ctx))
	}
	return p, nil
}

// Close ends all parts; what they wrote is left.
func (p *Plane) Close(ctx context.Context) error { return p.cluster.stopParts(ctx) }

// Part starts a process that ends with the control plane.
func (p *Plane) Part(part Part) error { return p.cluster.Start(part) }

// Kubectl is the path of the kubectl that fits; see Cluster.Kubectl.
func (p *Plane) Kubectl(ctx context.Context) (string, error) { return p.cluster.Kubectl(ctx) }

// Logs is the folder of what the parts printed, one file each.
func (p *Plane) Logs() string { return p.cluster.Logs() }

// Stored is what etcd holds; see Cluster.Stored.
func (p *Plane) Stored(ctx context.Context, prefix string) ([]KeyValue, error) {
	return p.cluster.Stored(ctx, prefix)
}

// Store puts keys into etcd; see Cluster.Store.
func (p *Plane) Store(ctx context.Context, all ...KeyValue) error {
	return p.cluster.Store(ctx, all...)
}

// APIServer makes another API server, with flags beside those that all have. It
// waits for Start.
func (p *Plane) APIServer(flags ...string) (*APIServer, error) {
	ports, err := freeport.Find(1)
	if err != nil {
		return nil, err
	}
	client, err := p.cluster.httpClient()
	if err != nil {
		return nil, err
	}
	p.servers++
	name := fmt.Sprintf("%s-%d", partAPIServer, p.servers)
	a := &APIServer{
		Name: name, Kubeconfig: p.cluster.Path(name + ".kubeconfig"), cluster: p.cluster, port: ports[0], client: client,
		// There is no node that could reach it, so it is in no Service.
		flags: append([]string{"--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"}, flags...),
	}
	return a, p.cluster.writeKubeconfig(name+".kubeconfig", a.cluster.at.server(a.port), p.cluster.clientCertificate(administrator))
}

// Start starts the process, which must not run. It answers later; see Await.
func (a *APIServer) Start(ctx context.Context) error {
	return a.cluster.startAPIServer(ctx, a.Name, a.port, a.flags...)
}

// Await waits until it is ready. One that cannot reach its KMS plugin never is.
func (a *APIServer) Await(ctx context.Context) error {
	return a.cluster.awaitAPIServer(ctx, a.Name, a.port)
}

// Stop ends the process as the kubelet does.
func (a *APIServer) Stop(ctx context.Context) error { return a.cluster.Stop(ctx, a.Name) }

// PID is the process id; zero if it does not run. It tells whether the process
// was restarted.
func (a *APIServer) PID() int {
	pid, _ := a.cluster.PID(a.Name)
	return pid
}

// Get is what the API server answers to its administrator's GET of a path. The
// error holds the answer too if its status says that it failed.
func (a *APIServer) Get(ctx context.Context, path string) (string, error) {
	return a.do(ctx, http.MethodGet, path, "", nil)
}

// Send makes another request as the administrator, with a body of a type.
func (a *APIServer) Send(ctx context.Context, method, path, contentType string, body []byte) error {
	_, err := a.do(ctx, method, path, contentType, body)
	return err
}

func (a *APIServer) do(ctx context.Context, method, path, contentType string, body []byte) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, a.cluster.at.server(a.port)+path, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := a.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close() //nolint:errcheck // it has been read
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return "", fmt.Errorf("%s: %s: %s", path, resp.Status, text)
	}
	return string(text), nil
}

// StartGarbageCollector starts what removes objects whose owner is gone, and those of
// namespaces that are deleted. It finds the resources that are defined by now at once,
// and later ones within half a minute.
func (a *APIServer) StartGarbageCollector(ctx context.Context) error {
	return a.cluster.startControllerManager(ctx, a.Kubeconfig, "--secure-port=0",
		"--controllers=garbage-collector-controller,namespace-controller,serviceaccount-controller")
}

// Config is the administrator's access, without a limit of requests.
func (a *APIServer) Config() (*rest.Config, error) { return a.alone().Config() }

// Authority is the certificate, in PEM, of the authority that signed the server's.
func (a *APIServer) Authority() ([]byte, error) { return a.cluster.Authority() }

// Server is its URL.
func (a *APIServer) Server() string { return a.cluster.at.server(a.port) }

// Apply creates or changes objects; see Cluster.Apply.
func (a *APIServer) Apply(ctx context.Context, manifests []byte) error {
	return a.alone().Apply(ctx, manifests)
}

// alone is the control plane as if it had no other API server.
func (a *APIServer) alone() *Cluster {
	c := *a.cluster
	c.Kubeconfig = a.Kubeconfig
	return &c
}

// Controllers starts a controller manager that runs the named controllers alone, as
// the administrator.
func (a *APIServer) Controllers(ctx context.Context, names ...string) error {
	manager, err := those.program(ctx, "kube-controller-manager")
	if err != nil {
		return err
	}
	return a.cluster.Start(Part{Name: partControllerManager, Command: []string{
		manager, "--kubeconfig=" + a.Kubeconfig, "--leader-elect=false", "--controllers=" + strings.Join(names, ","),
		"--secure-port=0", "--profiling=false", "--kube-api-qps=200", "--kube-api-burst=400",
	}})
}
