package cluster

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
)

// CrashDriver kills the driver and starts it again. What is mounted stays; calls
// in flight fail, and the kubelet makes them again.
func (c *Cluster) CrashDriver(ctx context.Context) error {
	if err := c.Kill(ctx, partDriver); err != nil {
		return err
	}
	return c.StartDriver(ctx)
}

// Reboot is what a reboot is to the node's services: the kubelet and containerd
// end without warning and start again, and find what they left. Containers run
// on, as the machine does.
func (c *Cluster) Reboot(ctx context.Context) error {
	if err := errors.Join(c.Kill(ctx, partKubelet), c.Kill(ctx, partContainerd)); err != nil {
		return err
	}
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
