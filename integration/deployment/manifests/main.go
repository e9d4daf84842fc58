// Command manifests writes the plain manifests that the chart renders to.
//
//	go run ./deployment/manifests ../deployment/manifests
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lanyardhq/lanyard/integration/deployment"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "manifests:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("name the directory to write to")
	}
	files, err := deployment.Plain()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(args[0], 0o755); err != nil { //nolint:gosec // manifests are for everyone to read
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(args[0], name), content, 0o644); err != nil { //nolint:gosec // the same
			return err
		}
	}
	return nil
}
