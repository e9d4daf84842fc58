package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/lanyardhq/lanyard/integration/binaries"
)

// VersionsEnv names the versions of a cluster: empty for those that most clusters run, or
// "newest".
const VersionsEnv = "LANYARD_KUBERNETES"

const (
	kubernetesVersion = "v1.34.4"
	newestKubernetes  = "v1.37.2"
)

// versions are what a cluster is made of.
type versions struct {
	kubernetes binaries.Source
	// containerd has containerd, its shim and its client; without a module the machine's
	// own are taken.
	containerd binaries.Source
	err        error
}

// those are the versions of this process's clusters.
var those = versionsOf(os.Getenv(VersionsEnv))

func versionsOf(name string) versions {
	switch name {
	case "":
		return versions{kubernetes: kubernetesOf("kubernetes", kubernetesVersion)}
	case "newest":
		return versions{
			kubernetes: kubernetesOf("kubernetes-newest", newestKubernetes),
			// https://github.com/containerd/containerd/blob/v2.4.2/BUILDING.md
			containerd: binaries.Source{Module: "containerd", Tags: "urfave_cli_no_docs,osusergo,netgo,static_build", Packages: []string{
				"github.com/containerd/containerd/v2/cmd/containerd", "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
				"github.com/containerd/containerd/v2/cmd/ctr",
			}},
		}
	}
	return versions{err: fmt.Errorf("%s is %q; leave it empty, or say newest", VersionsEnv, name)}
}

// kubernetesOf is what Kubernetes is built from. A server without a version would make
// clients complain.
func kubernetesOf(module, version string) binaries.Source {
	minor := strings.Split(version, ".")[1]
	return binaries.Source{
		Module: module,
		Packages: []string{
			"k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/kubernetes/cmd/kube-controller-manager",
			"k8s.io/kubernetes/cmd/kube-scheduler", "k8s.io/kubernetes/cmd/kubectl", "k8s.io/kubernetes/cmd/kubelet",
		},
		LinkerFlags: "-X k8s.io/component-base/version.gitVersion=" + version +
			" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=" + minor +
			" -X k8s.io/component-base/version.gitTreeState=clean",
	}
}

// build makes sure that the binaries are in the cache.
func (v versions) build(ctx context.Context, others ...binaries.Source) error {
	for _, source := range append(others, v.kubernetes, v.containerd) {
		if v.err != nil || source.Module == "" {
			continue
		}
		if _, err := binaries.Build(ctx, source); err != nil {
			return err
		}
	}
	return v.err
}

// program is the path of one of Kubernetes' programs.
func (v versions) program(ctx context.Context, name string) (string, error) {
	return binary(ctx, v.kubernetes, name)
}

// runtime is the path of one of containerd's programs.
func (v versions) runtime(ctx context.Context, name string) (string, error) {
	if v.containerd.Module == "" {
		return lookPath(name)
	}
	return binary(ctx, v.containerd, name)
}

// binary is the path of a binary, which is built if it is not in the cache.
func binary(ctx context.Context, source binaries.Source, name string) (string, error) {
	dir, err := binaries.Build(ctx, source)
	return filepath.Join(dir, name), err
}
