package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
)

// Down ends whatever runs below dir and removes every trace of it: pods,
// processes, mounts, network, control groups, kernel settings and files. There being nothing is
// no error. It goes on after what fails, and says all that is left.
func Down(ctx context.Context, dir string, progress func(string)) error {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	c := &Cluster{Dir: dir, Kubeconfig: filepath.Join(dir, "kubeconfig"), at: nodeEndpoints, progress: progress}
	var failed []error
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"pods", c.deletePods},
		{"processes", c.stopParts},
		{"containers", c.killContainers},
		{"mounts", c.unmount},
		{"network", c.removeNetwork},
		{"control groups", removeControlGroups},
		{"kernel settings", c.restoreKernelSettings},
		{"files", c.removeFiles},
	} {
		progress("removing " + step.name)
		if err := step.do(ctx); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", step.name, err))
		}
	}
	return errors.Join(failed...)
}

// deletePods ends all pods while the kubelet can still unmount their volumes
// and take down their network. What it cannot do is left for the next steps.
func (c *Cluster) deletePods(ctx context.Context) error {
	if !c.Running(partKubelet) || !c.Running(partAPIServer) || !c.Running(partContainerd) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	client, err := c.Client()
	if err != nil {
		return nil // a cluster that never came up has no pods
	}
	// Neither controllers nor the kubelet itself may make new ones meanwhile.
	if err := errors.Join(os.RemoveAll(c.StaticPods()), c.Stop(ctx, partControllerManager), c.Stop(ctx, partScheduler)); err != nil {
		return err
	}
	for {
		var pods *corev1.PodList
		err := retry.OnError(retry.DefaultBackoff, func(error) bool { return true }, func() (err error) {
			pods, err = client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
			return err
		})
		if err != nil {
			return err
		}
		if len(pods.Items) == 0 {
			return nil
		}
		grace := int64(1)
		for _, pod := range pods.Items {
			if pod.DeletionTimestamp == nil {
				err := client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &grace})
				if err != nil && ctx.Err() != nil {
					return err
				}
			}
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return fmt.Errorf("%d pods have not ended: %w", len(pods.Items), err)
		}
	}
}

// stopParts ends the processes, the last that was started first: it may use
// those before it.
func (c *Cluster) stopParts(ctx context.Context) error {
	names, err := c.partNames()
	if err != nil {
		return err
	}
	var failed []error
	for _, name := range slices.Backward(names) {
		failed = append(failed, c.Stop(ctx, name))
	}
	return errors.Join(failed...)
}

// killContainers kills what containerd left: the shims, which hold its socket's
// path in their command line, and what runs in the pods' control groups.
func (c *Cluster) killContainers(context.Context) error {
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err
	}
	for _, file := range processes {
		command, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(command), "containerd-shim") || !strings.Contains(string(command), c.containerdSocket()) {
			continue
		}
		kill(filepath.Base(filepath.Dir(file)))
	}
	for _, group := range podControlGroups() {
		ids, err := os.ReadFile(filepath.Join(group, "cgroup.procs"))
		if err != nil {
			continue
		}
		for _, id := range strings.Fields(string(ids)) {
			kill(id)
		}
	}
	return nil
}

func kill(id string) {
	if pid, err := strconv.Atoi(id); err == nil && pid > 1 {
		syscall.Kill(pid, syscall.SIGKILL) //nolint:errcheck,gosec // it may have ended
	}
}

// podControlGroups are those that the kubelet made, the deepest first.
func podControlGroups() []string {
	var groups []string
	for _, root := range []string{"/sys/fs/cgroup/kubepods", "/sys/fs/cgroup/*/kubepods"} {
		found, err := filepath.Glob(root)
		if err != nil {
			continue
		}
		for _, top := range found {
			filepath.WalkDir(top, func(path string, entry os.DirEntry, err error) error { //nolint:errcheck,gosec // what vanishes meanwhile is what is wanted
				if err == nil && entry.IsDir() {
					groups = append(groups, path)
				}
				return nil
			})
		}
	}
	slices.Reverse(groups)
	return groups
}

// removeControlGroups removes the kubelet's groups once their processes ended.
func removeControlGroups(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		groups := podControlGroups()
		if len(groups) == 0 {
			return nil
		}
		var failed error
		for _, group := range groups {
			failed = errors.Join(failed, os.Remove(group))
		}
		if failed != nil && pause(ctx, 100*time.Millisecond) != nil {
			return failed
		}
	}
}

// unmount unmounts what is mounted below the cluster's folder, the last first,
// and the network namespaces of pods.
func (c *Cluster) unmount(ctx context.Context) error {
	points, err := c.mounts()
	if err != nil {
		return err
	}
	var failed []error
	for _, point := range slices.Backward(points) {
		if err := syscall.Unmount(point, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			failed = append(failed, fmt.Errorf("%s: %w", point, err))
		}
	}
	return errors.Join(append(failed, removeNamespaces(ctx))...)
}

// removeNamespaces removes the network namespaces that containerd made for pods
// that it did not get to end.
func removeNamespaces(context.Context) error {
	namespaces, err := filepath.Glob("/var/run/netns/cni-*")
	if err != nil {
		return err
	}
	var failed []error
	for _, path := range namespaces {
		if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			failed = append(failed, err)
		}
		failed = append(failed, os.Remove(path))
	}
	return errors.Join(failed...)
}

// mounts are the mount points in and below the cluster's folder, as the kernel
// lists them: what is mounted on another comes after it. See proc(5).
func (c *Cluster) mounts() ([]string, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it is only read
	var points []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 4 && c.holds(fields[4]) {
			points = append(points, fields[4])
		}
	}
	return points, nil
}

// holds reports whether a path is the cluster's folder or below it.
func (c *Cluster) holds(path string) bool {
	return path == c.Dir || strings.HasPrefix(path, c.Dir+"/")
}
