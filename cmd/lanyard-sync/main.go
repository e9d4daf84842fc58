// Command lanyard-sync is lanyard with the sync controller: a binary of its own, because
// the controller's libraries would make the provider of each node twice as large.
package main

import (
	"os"

	"github.com/lanyardhq/lanyard/cmd"
	"github.com/lanyardhq/lanyard/server/sync/controller"
)

func main() {
	cmd.RunSync = controller.Run
	os.Exit(cmd.Execute(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
