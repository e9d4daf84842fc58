// Package cluster runs a real Kubernetes cluster of one node on this machine,
// without a container engine: etcd, the API server, the controller manager, the
// scheduler, containerd, the kubelet, and the Secrets Store CSI driver with
// rotation switched on. It needs root on Debian with the packages that
// Packages lists; the rest is built once and kept in the cache of package
// binaries.
//
// All of it lives below one folder and outlives the program that started it, so
// that another can find it again. Start with Up; Open finds a cluster that
// runs; Down removes every trace, also of one that a killed program left.
//
// What is in the cluster beyond Kubernetes and the driver is package lab's.
package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// Address is the node's own, on the loopback device: the API server listens
	// there, and pods reach what runs on the node by it.
	Address = "10.87.0.1"
	// Node is the node's name.
	Node = "node"
	// KubeletRoot is the kubelet's root folder, below Dir.
	kubeletRoot = "kubelet"
	// staticPods is the folder of the kubelet's own manifests, below Dir.
	staticPods = "static-pods"

	podNetwork     = "10.88.0.0/24"
	serviceNetwork = "10.96.0.0/16"
	apiService     = "10.96.0.1" // the first address of it
)

// DefaultDir is where a cluster lives unless it is told otherwise. Unix sockets
// lie below it, so it is short.
const DefaultDir = "/var/lib/lanyard-cluster"

// Cluster is a cluster that runs.
type Cluster struct {
	// Dir is the folder that holds everything: certificates, data, logs.
	Dir string
	// Kubeconfig is the path of the administrator's kubeconfig.
	Kubeconfig string

	at       endpoints
	mortal   bool // its parts end with the program that started them
	progress func(string)
}

// endpoints are where a control plane listens: ports of one address.
type endpoints struct {
	address             string
	api, etcd, etcdPeer string
}

// server is the URL of an API server at a port.
func (e endpoints) server(port string) string { return "https://" + e.address + ":" + port }

// etcdURL is where API servers find etcd, which listens on loopback alone.
func (e endpoints) etcdURL() string { return "http://127.0.0.1:" + e.etcd }

// nodeEndpoints are those of a cluster with a node.
var nodeEndpoints = endpoints{address: Address, api: "16443", etcd: "12379", etcdPeer: "12380"}

// Options say what a cluster has beside its own.
type Options struct {
	// BeforeAPIServer, if it is set, is called when the certificates are made
	// and etcd runs, and starts what the API server depends on. The API server
	// gets the flags beside its own.
	BeforeAPIServer func(context.Context, *Cluster) (flags []string, err error)
}

// Up starts a cluster below dir, which must not exist or hold a cluster that
// Down took down, and returns when its node is ready and the driver is
// registered. progress is told what is being done. After an error whatever was
// started is left for Down.
func Up(ctx context.Context, dir string, opts Options, progress func(string)) (*Cluster, error) {
	if err := checkMachine(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir); err == nil {
		return nil, fmt.Errorf("there is something at %s already: take it down first", dir)
	}
	c := &Cluster{Dir: dir, Kubeconfig: filepath.Join(dir, "kubeconfig"), at: nodeEndpoints, progress: progress}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"Kubernetes and the driver: built once, about ten minutes on two cores", c.build},
		{"folders, network and certificates", c.prepare},
		{"etcd", c.startEtcd},
		{"what the API server depends on", func(ctx context.Context) error { return c.beforeAPIServer(ctx, opts) }},
		{"API server", c.StartAPIServer},
		{"controller manager and scheduler", c.startControllers},
		{"containerd", c.StartContainerd},
		{"image of test pods", c.importWorkload},
		{"kubelet", c.StartKubelet},
		{"driver", c.installDriver},
		{"node", c.awaitNode},
	} {
		progress(step.name)
		if err := step.do(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return c, nil
}

// Open returns the cluster that runs below dir. os.ErrNotExist means that there
// is none.
func Open(dir string, progress func(string)) (*Cluster, error) {
	c := &Cluster{Dir: dir, Kubeconfig: filepath.Join(dir, "kubeconfig"), at: nodeEndpoints, progress: progress}
	if _, err := os.Stat(c.Kubeconfig); err != nil {
		return nil, err
	}
	for _, name := range []string{partEtcd, partAPIServer, partKubelet, partDriver} {
		if !c.Running(name) {
			return nil, fmt.Errorf("the cluster at %s is broken, %s does not run: take it down: %w", dir, name, errors.ErrUnsupported)
		}
	}
	return c, nil
}

// Config is the administrator's access to the API, without a limit of requests.
func (c *Cluster) Config() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	return config, nil
}

// Path is a path below the cluster's folder.
func (c *Cluster) Path(elements ...string) string {
	return filepath.Join(append([]string{c.Dir}, elements...)...)
}

// Logs is the folder of what the parts of the cluster printed, one file each,
// and of the pods' logs.
func (c *Cluster) Logs() string { return c.Path("logs") }

// KubeletRoot is the kubelet's root folder: the volumes of pods lie below its
// pods folder.
func (c *Cluster) KubeletRoot() string { return c.Path(kubeletRoot) }

// StaticPods is the folder whose manifests the kubelet runs by itself.
func (c *Cluster) StaticPods() string { return c.Path(staticPods) }

// DriverSocket is the path of the driver's own CSI socket.
func (c *Cluster) DriverSocket() string {
	return c.Path(kubeletRoot, "plugins", "csi-secrets-store", "csi.sock")
}

// machineHas are the programs that are the machine's own.
func machineHas() []string {
	has := []string{"etcd", "runc", "ip", "umount", "busybox"}
	if those.containerd.Module == "" {
		has = append(has, "containerd", "ctr")
	}
	return has
}

// checkMachine says what is missing before anything is changed.
func checkMachine() error {
	var problems []error
	if os.Geteuid() != 0 {
		problems = append(problems, errors.New("a cluster needs root"))
	}
	var missing []string
	for _, name := range machineHas() {
		if _, err := lookPath(name); err != nil {
			missing = append(missing, name)
		}
	}
	if _, err := os.Stat(filepath.Join(cniPlugins, "ptp")); err != nil {
		missing = append(missing, filepath.Join(cniPlugins, "ptp"))
	}
	if len(missing) > 0 {
		problems = append(problems, fmt.Errorf("not found: %s; run: .ci/prepare e2e", strings.Join(missing, ", ")))
	}
	return errors.Join(problems...)
}

// beforeAPIServer starts what the API server depends on, and keeps its flags.
func (c *Cluster) beforeAPIServer(ctx context.Context, opts Options) error {
	var flags []string
	if opts.BeforeAPIServer != nil {
		var err error
		if flags, err = opts.BeforeAPIServer(ctx, c); err != nil {
			return err
		}
	}
	return c.writeJSON(apiServerFlags, flags)
}

// prepare makes what the parts need before the first starts.
func (c *Cluster) prepare(ctx context.Context) error {
	if err := c.shareMounts(ctx); err != nil {
		return err
	}
	for _, dir := range []string{"logs", "run", "logs/pods", kubeletRoot, "cni", staticPods} {
		if err := os.MkdirAll(c.Path(dir), 0o755); err != nil { //nolint:gosec // pods of any user reach their volumes through it
			return err
		}
	}
	if err := c.prepareNetwork(ctx); err != nil {
		return err
	}
	if err := c.makeCredentials(); err != nil {
		return err
	}
	return errors.Join(c.saveKernelSettings(), c.makeNodeCredentials())
}

// shareMounts makes the folder a mount of its own whose mounts reach containers
// and come from them, as systemd makes all mounts of a real node.
func (c *Cluster) shareMounts(ctx context.Context) error {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil { //nolint:gosec // pods of any user reach their volumes through it
		return err
	}
	if _, err := run(ctx, "mount", "--bind", c.Dir, c.Dir); err != nil {
		return err
	}
	_, err := run(ctx, "mount", "--make-rshared", c.Dir)
	return err
}

// write writes a file of the cluster's, readable by root alone.
func (c *Cluster) write(name string, content []byte) error {
	return os.WriteFile(c.Path(name), content, 0o600)
}

// writeJSON writes a file that JSON is good enough for.
func (c *Cluster) writeJSON(name string, content any) error {
	text, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return err
	}
	return c.write(name, text)
}
