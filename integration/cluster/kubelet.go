package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientset "k8s.io/client-go/kubernetes"
)

const partKubelet = "kubelet"

// StartKubelet starts the kubelet, which must not run, and waits until it
// answers.
func (c *Cluster) StartKubelet(ctx context.Context) error {
	kubelet, err := those.program(ctx, "kubelet")
	if err != nil {
		return err
	}
	if err := c.writeJSON("kubelet.json", c.kubeletConfig()); err != nil {
		return err
	}
	if err := c.Start(Part{Name: partKubelet, Command: []string{
		kubelet, "--config=" + c.Path("kubelet.json"), "--kubeconfig=" + c.Path("kubelet.kubeconfig"),
		"--root-dir=" + c.KubeletRoot(), "--cert-dir=" + c.Path("kubelet-certificates"),
		"--hostname-override=" + Node, "--node-ip=" + Address,
	}}); err != nil {
		return err
	}
	return c.await(ctx, partKubelet, func(ctx context.Context) error {
		return get(ctx, http.DefaultClient, "http://127.0.0.1:10248/healthz")
	})
}

// StopKubelet stops the kubelet; pods run on.
func (c *Cluster) StopKubelet(ctx context.Context) error { return c.Stop(ctx, partKubelet) }

// kubeletConfig is the kubelet's configuration.
// https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
func (c *Cluster) kubeletConfig() map[string]any {
	return map[string]any{
		"apiVersion":     "kubelet.config.k8s.io/v1beta1",
		"kind":           "KubeletConfiguration",
		"authentication": map[string]any{"anonymous": map[string]any{"enabled": false}, "webhook": map[string]any{"enabled": true}, "x509": map[string]any{"clientCAFile": c.AuthorityFile()}},
		"authorization":  map[string]any{"mode": "Webhook"},
		"address":        Address,
		"tlsCertFile":    c.Path("kubelet-serving.crt"), "tlsPrivateKeyFile": c.Path("kubelet-serving.key"),
		"containerRuntimeEndpoint": "unix://" + c.containerdSocket(),
		"podLogsDir":               c.Path("logs", "pods"),
		"volumePluginDir":          c.Path("volume-plugins"),
		"staticPodPath":            c.StaticPods(),
		// No such server: without one pods would take over the node's own.
		"clusterDNS": []string{"10.96.0.10"}, "clusterDomain": "cluster.local",
		"maxPods": 250,
		// Services are not used, and nothing is to stay in the machine's tables.
		"makeIPTablesUtilChains": false,
		// What asks a CSI driver to publish a volume again runs in this loop,
		// so rotation comes each 10 to 15 seconds.
		"syncFrequency": "10s",
		// A test machine: its control groups, swap and disk are as they are.
		"cgroupDriver": "cgroupfs", "failCgroupV1": false, "failSwapOn": false,
		"evictionHard":                map[string]any{"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%"},
		"imageGCHighThresholdPercent": 100,
		// A hundred pods at once on one node.
		"kubeAPIQPS": 200, "kubeAPIBurst": 400, "eventRecordQPS": 200, "eventBurst": 400, "serializeImagePulls": false,
	}
}

// awaitNode waits until pods can be scheduled and the kubelet knows the driver.
func (c *Cluster) awaitNode(ctx context.Context) error {
	config, err := c.Config()
	if err != nil {
		return err
	}
	client, err := clientset.NewForConfig(config)
	if err != nil {
		return err
	}
	return c.await(ctx, partKubelet, func(ctx context.Context) error {
		node, err := client.CoreV1().Nodes().Get(ctx, Node, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status != corev1.ConditionTrue {
				return fmt.Errorf("the node is not ready: %s", condition.Message)
			}
		}
		if len(node.Spec.Taints) > 0 {
			return fmt.Errorf("the node has taints: %v", node.Spec.Taints)
		}
		if _, err := client.StorageV1().CSINodes().Get(ctx, Node, metav1.GetOptions{}); err != nil {
			return err
		}
		return c.driverRegistered(ctx, client)
	})
}

// driverRegistered is an error until the kubelet has told of the driver.
func (c *Cluster) driverRegistered(ctx context.Context, client *clientset.Clientset) error {
	node, err := client.StorageV1().CSINodes().Get(ctx, Node, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, known := range node.Spec.Drivers {
		if known.Name == DriverName {
			return nil
		}
	}
	return errors.New("the kubelet does not know the driver")
}
