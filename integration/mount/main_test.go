package mount

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/lanyardhq/lanyard/integration/lanyardserver"
)

// binary is the provider under test. It is set once, before any test runs.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	// Most of a test's time is waiting: for refreshes, timeouts and retries.
	if err := flag.Set("test.parallel", "6"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
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
