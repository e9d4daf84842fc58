// Package lab is a cluster with what Lanyard works with and Lanyard itself: a
// KMS plugin that encrypts its Secrets, a real Vault whose Kubernetes auth asks the cluster's API server, with a KV, a
// PKI, a transit and a database engine over PostgreSQL, and Lanyard as its own
// image, installed with Helm from its own chart.
//
// Start with Up, or Open for a lab that is up; Down removes every trace. The
// scenarios that are run in it are package scenarios'.
package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/kubernetes"

	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/postgres"
	"github.com/lanyardhq/lanyard/integration/vaultserver"
)

const (
	// ClusterName is what the operator's configuration calls the cluster, and
	// what sealed values are bound to.
	ClusterName = "lab"
	// Namespace is where Lanyard runs.
	Namespace = "lanyard"
	// Release is the name that it is installed by.
	Release = "lanyard"
	// InLab is the variable in the environment of scenarios that tells them to
	// take the lab as it is: whoever runs them has brought it up.
	InLab = "LANYARD_IN_LAB"
	// SocketDirectory is where the chart has Lanyard put its sockets.
	SocketDirectory = "/etc/kubernetes/secrets-store-csi-providers"
)

// Lab is a lab that is up.
type Lab struct {
	*cluster.Cluster
	// Vault is the administrator's access to Vault.
	Vault *vaultserver.Server
	// Postgres is what Vault's database engine makes users in.
	Postgres *postgres.Server
	// Kube is the administrator's access to the API server.
	Kube *kubernetes.Clientset

	progress func(string)
}

// Up brings a lab up below dir and tells progress what it does. What it started
// before an error is left for Down.
func Up(ctx context.Context, dir string, progress func(string)) (*Lab, error) {
	l := &Lab{progress: progress}
	node, err := cluster.Up(ctx, dir, cluster.Options{BeforeAPIServer: l.encrypt}, progress)
	if err != nil {
		return nil, err
	}
	if l.Kube, err = node.Client(); err != nil {
		return nil, err
	}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"PostgreSQL", l.startPostgres},
		{"Vault for workloads", l.setVault},
		{"Lanyard's image", func(ctx context.Context) error { return l.BuildImage(ctx, Tag) }},
		{"Lanyard", l.installLanyard},
	} {
		progress(step.name)
		if err := step.do(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return l, nil
}

// Open returns the lab that is up below dir. os.ErrNotExist means that there is
// none.
func Open(dir string, progress func(string)) (*Lab, error) {
	node, err := cluster.Open(dir, progress)
	if err != nil {
		return nil, err
	}
	l := &Lab{Cluster: node, progress: progress}
	if l.Kube, err = node.Client(); err != nil {
		return nil, err
	}
	if err := errors.Join(l.connectPostgres(), l.connectVault()); err != nil {
		return nil, fmt.Errorf("the lab at %s is not whole, take it down: %w", dir, err)
	}
	return l, nil
}

// Down removes the lab below dir, however far it came, and every trace of it.
func Down(ctx context.Context, dir string, progress func(string)) error {
	return errors.Join(cluster.Down(ctx, dir, progress), removeSocketDirectory(), removeKMS())
}

// removeSocketDirectory removes what the chart's hostPath volume made, unless
// someone else uses it.
func removeSocketDirectory() error {
	sockets, err := os.ReadDir(SocketDirectory)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range sockets {
		if err := os.Remove(filepath.Join(SocketDirectory, entry.Name())); err != nil {
			return err
		}
	}
	if err := os.Remove(SocketDirectory); err != nil {
		return err
	}
	// Others may keep things in the folder above.
	if above, err := os.ReadDir(filepath.Dir(SocketDirectory)); err == nil && len(above) == 0 {
		return os.Remove(filepath.Dir(SocketDirectory))
	}
	return nil
}

// save and load keep what Open needs to know.
func (l *Lab) save(name string, what any) error {
	text, err := json.Marshal(what)
	if err != nil {
		return err
	}
	return os.WriteFile(l.Path(name), text, 0o600)
}

func (l *Lab) load(name string, what any) error {
	text, err := os.ReadFile(l.Path(name))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, what)
}
