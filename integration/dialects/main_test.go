package dialects

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/lanyardhq/lanyard/integration/lanyardserver"
)

// binary is the provider under test. It is set once, before any test runs.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "lanyard-binary-")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		binary, err = lanyardserver.Build(context.Background(), dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
