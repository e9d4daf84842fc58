// Command cmd brings up the cluster that the scenarios run in, leaves it there
// for trying things out, and takes it down again:
//
//	go run ./cmd up
//	go run ./cmd down
//
// Both need root. Ctrl-C during up takes down what has come up.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/cluster/lab"
)

func main() {
	if len(os.Args) != 2 || os.Args[1] != "up" && os.Args[1] != "down" {
		fmt.Fprintln(os.Stderr, "usage: go run ./cmd up|down")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, verb string) error {
	progress := lab.Progress(os.Stderr)
	if verb == "down" {
		return lab.Down(ctx, cluster.DefaultDir, progress)
	}
	l, err := lab.Up(ctx, cluster.DefaultDir, progress)
	if err != nil {
		return lab.GiveUp(cluster.DefaultDir, err, progress)
	}
	kubectl, err := l.Kubectl(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Printf(`The cluster is up. It ends with: make cluster-down

export KUBECONFIG=%s
alias kubectl=%s
export VAULT_ADDR=%s VAULT_CACERT=%s VAULT_TOKEN=%s

Classes use the stores vault (role %s, audience %s), files and sealed; see %s.
Logs of every part: %s
`, l.Kubeconfig, kubectl, lab.VaultAddress, l.AuthorityFile(), l.Vault.RootToken, lab.Role, lab.Audience, l.Path("values.yaml"), l.Logs())
	return err
}
