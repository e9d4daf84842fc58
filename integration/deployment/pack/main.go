// Command pack writes the chart as an archive, with the driver's chart in it.
//
//	go run ./deployment/pack ../bin
package main

import (
	"fmt"
	"os"

	"github.com/lanyardhq/lanyard/integration/deployment"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "pack: name the directory to write to")
		os.Exit(2)
	}
	path, err := deployment.Pack(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
	fmt.Println(path)
}
