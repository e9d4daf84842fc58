package cluster

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
)

// KillDriver ends the driver as a crash does. What is mounted stays; the kubelet
// makes its calls again until StartDriver.
func (c *Cluster) KillDriver(ctx context.Context) error { return c.Kill(ctx, partDriver) }

// KillNode ends the kubelet and containerd without warning, as a reboot does.
// Containers run on, as the machine does.
func (c *Cluster) KillNode(ctx context.Context) error {
	return errors.Join(c.Kill(ctx, partKubelet), c.Kill(ctx, partContainerd))
}

// StartNode starts both again after KillNode, and waits until the node is ready.
func (c *Cluster) StartNode(ctx context.Context) error {
	if err := c.StartContainerd(ctx); err != nil {
		return err
	}
	if err := c.StartKubelet(ctx); err != nil {
		return err
	}
	return c.awaitNode(ctx)
}

// ContainerPID is the process id, on the node, of a container that runs. id is
// as a pod's status has it, with or without containerd://.
func (c *Cluster) ContainerPID(ctx context.Context, id string) (int, error) {
	id = strings.TrimPrefix(id, "containerd://")
	tasks, err := c.ctr(ctx, "tasks", "list")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(tasks) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == id {
			return strconv.Atoi(fields[1])
		}
	}
	return 0, fmt.Errorf("no container with the id %s runs", id)
}

// KillContainer ends a container's first process at once, as a crash does.
func (c *Cluster) KillContainer(ctx context.Context, id string) error {
	pid, err := c.ContainerPID(ctx, id)
	if err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}
