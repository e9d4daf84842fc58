package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// kernelSettings are what the kubelet and the network plugin change, below
// /proc/sys.
var kernelSettings = []string{
	"kernel/keys/root_maxbytes", "kernel/keys/root_maxkeys", "kernel/panic", "kernel/panic_on_oops",
	"net/ipv4/ip_forward", "vm/overcommit_memory", "vm/panic_on_oom",
}

const kernelSettingsFile = "kernel-settings.json"

// saveKernelSettings keeps the settings as they are before the cluster starts.
func (c *Cluster) saveKernelSettings() error {
	settings := map[string]string{}
	for _, name := range kernelSettings {
		value, err := os.ReadFile(filepath.Join("/proc/sys", name))
		if err == nil {
			settings[name] = string(value)
		}
	}
	return c.writeJSON(kernelSettingsFile, settings)
}

// restoreKernelSettings puts back what saveKernelSettings kept.
func (c *Cluster) restoreKernelSettings(context.Context) error {
	text, err := os.ReadFile(c.Path(kernelSettingsFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	settings := map[string]string{}
	if err := json.Unmarshal(text, &settings); err != nil {
		return err
	}
	var failed []error
	for name, value := range settings {
		path := filepath.Join("/proc/sys", name)
		if now, err := os.ReadFile(path); err == nil && string(now) != value {
			failed = append(failed, os.WriteFile(path, []byte(value), 0o644)) //nolint:gosec // no file is made
		}
	}
	return errors.Join(failed...)
}

// removeOutside removes what the kubelet, containerd and the network plugins
// keep at paths that cannot be set. Folders that others use too stay.
func (c *Cluster) removeOutside() error {
	failed := []error{c.removeContainerLogs()}
	for _, pattern := range []string{
		"/var/lib/kubelet/device-plugins/kubelet.sock",
		"/var/lib/cni/results/" + cniNetwork + "-*",
	} {
		left, err := filepath.Glob(pattern)
		failed = append(failed, err)
		for _, path := range left {
			failed = append(failed, os.Remove(path))
		}
	}
	for _, dir := range []string{
		"/var/lib/kubelet/device-plugins", "/var/lib/kubelet",
		"/var/lib/cni/results", "/var/lib/cni",
		"/var/log/containers",
		"/run/containerd/runc/k8s.io", "/run/containerd/runc", "/run/containerd/s", "/run/containerd",
	} {
		if entries, err := os.ReadDir(dir); err == nil && len(entries) == 0 {
			failed = append(failed, os.Remove(dir))
		}
	}
	return errors.Join(failed...)
}

// removeContainerLogs removes the links that the kubelet makes to pods' logs.
func (c *Cluster) removeContainerLogs() error {
	links, err := filepath.Glob("/var/log/containers/*")
	if err != nil {
		return err
	}
	var failed []error
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && c.holds(target) {
			failed = append(failed, os.Remove(link))
		}
	}
	return errors.Join(failed...)
}

// removeFiles removes what lies elsewhere and the cluster's folder. A folder
// with something still mounted in it is left alone.
func (c *Cluster) removeFiles(context.Context) error {
	points, err := c.mounts()
	if err != nil {
		return err
	}
	if len(points) > 0 {
		return fmt.Errorf("still mounted: %q", points)
	}
	return errors.Join(c.removeOutside(), os.RemoveAll(c.Dir))
}
