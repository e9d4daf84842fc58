package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
)

const partContainerd = "containerd"

// containerdConfig gives containerd folders of its own, so that it meets no
// other on the machine. It has no scores adjusted below its own, which needs a
// capability that virtual machines and containers often lack, and no plugins of nodes,
// which listen at a path that all on the machine share.
// https://github.com/containerd/containerd/blob/release/1.6/docs/cri/config.md
const containerdConfig = `version = 2
root = %[1]q
state = %[2]q
[grpc]
  address = %[3]q
[plugins."io.containerd.nri.v1.nri"]
  disable = true
[plugins."io.containerd.internal.v1.opt"]
  path = %[4]q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %[5]q
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %[6]q
    conf_dir = %[7]q
`

func (c *Cluster) containerdSocket() string { return c.Path("containerd.sock") }

// StartContainerd starts containerd, which must not run, and waits until it
// answers. Containers that a stopped containerd left run on and are found.
func (c *Cluster) StartContainerd(ctx context.Context) error {
	containerd, err := those.runtime(ctx, "containerd")
	if err != nil {
		return err
	}
	config := fmt.Sprintf(containerdConfig, c.Path("containerd"), c.Path("containerd-state"), c.containerdSocket(),
		c.Path("containerd-opt"), Workload, cniPlugins, c.Path("cni"))
	if err := c.write("containerd.toml", []byte(config)); err != nil {
		return err
	}
	// Its shim is beside it.
	path := filepath.Dir(containerd) + ":" + os.Getenv("PATH")
	if err := c.Start(Part{
		Name: partContainerd, Command: []string{containerd, "--config", c.Path("containerd.toml")}, Env: []string{"PATH=" + path, "HOME=" + c.Dir},
	}); err != nil {
		return err
	}
	conn, err := grpc.NewClient("unix:"+c.containerdSocket(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // only asked
	// containerd answers before its CRI service does, and a kubelet that starts
	// between the two ends. Any message decodes as an empty one.
	return c.await(ctx, partContainerd, func(ctx context.Context) error {
		return conn.Invoke(ctx, "/runtime.v1.RuntimeService/Version", &emptypb.Empty{}, &emptypb.Empty{})
	})
}

// StopContainerd stops containerd; containers run on.
func (c *Cluster) StopContainerd(ctx context.Context) error { return c.Stop(ctx, partContainerd) }

// ImportImage makes an image known to the node, from an archive in docker's
// form or an OCI layout. Pods use it by the name it has there, with
// imagePullPolicy Never or IfNotPresent.
func (c *Cluster) ImportImage(ctx context.Context, archive string) error {
	_, err := c.ctr(ctx, "images", "import", archive)
	return err
}

// TagImage gives an image that the node has another name.
func (c *Cluster) TagImage(ctx context.Context, name, other string) error {
	_, err := c.ctr(ctx, "images", "tag", "--force", name, other)
	return err
}

// ctr runs containerd's own client in the kubelet's namespace.
func (c *Cluster) ctr(ctx context.Context, args ...string) (string, error) {
	client, err := those.runtime(ctx, "ctr")
	if err != nil {
		return "", err
	}
	return run(ctx, client, append([]string{"--address", c.containerdSocket(), "--namespace", "k8s.io"}, args...)...)
}
