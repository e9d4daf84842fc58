// Command lanyard gives Kubernetes workloads their secrets.
package main

import (
	"os"

	"github.com/lanyardhq/lanyard/cmd"
)

func main() { os.Exit(cmd.Execute(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
