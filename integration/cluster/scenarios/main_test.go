// Package scenarios holds Lanyard to what it promises in a real cluster: each
// test is a story that a user could tell, played by the real kubelet, the real
// driver and a real Vault, with Lanyard installed from its own chart. It needs
// root on Debian; `make e2e` runs it.
//
// The tests use the lab that `make cluster` left, after bringing the Lanyard in
// it up to this checkout, or bring one up and take it down again, also after a
// failure, a panic or Ctrl-C.
//
// A scenario begins with beside or alone, makes what it needs with apply and
// start, and has a namespace of its own.
package scenarios

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/cluster/lab"
)

const (
	// atOnce is how many scenarios run beside each other unless -parallel says
	// otherwise. They mostly wait, so more than there are cores.
	atOnce = 6
)

// TestMain runs the tests in a process of their own: what takes the lab down
// afterwards must outlive a panic and the end of the tests' time.
func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv(lab.InLab) == "" && flag.Lookup("test.list").Value.String() == "" {
		os.Exit(supervise())
	}
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", strconv.Itoa(atOnce)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}

// supervise runs the tests in a lab and returns their exit code.
func supervise() (code int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, abandon := context.WithCancel(ctx)
	defer abandon()
	go watchParent(ctx, abandon)
	// `go test` may end before this does: what is printed then must not end it.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	progress := lab.Progress(os.Stderr)
	l, err := lab.Open(cluster.DefaultDir, progress)
	switch {
	case err == nil:
		progress("using the lab at " + l.Dir)
		err = l.Refresh(ctx)
	case errors.Is(err, os.ErrNotExist):
		if l, err = lab.Up(ctx, cluster.DefaultDir, progress); err != nil {
			err = lab.GiveUp(cluster.DefaultDir, err, progress)
			break
		}
		defer func() {
			if err := takeDown(progress); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = max(code, 1)
			}
		}()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	progress("scenarios")
	if err := runTests(ctx); err != nil {
		// The tests end with 1 if some failed, and then left what there is to
		// know; with another code if they did not come to their end.
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 {
			kept, keepErr := lab.KeepLogs(l.Dir)
			fmt.Fprintln(os.Stderr, errors.Join(fmt.Errorf("the scenarios were broken off: %w; logs of all parts: %s", err, kept), keepErr))
		}
		return 1
	}
	return 0
}

// runTests runs this program again as the one that runs the tests.
func runTests(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	tests := exec.CommandContext(ctx, self, os.Args[1:]...)
	tests.Env = append(os.Environ(), lab.InLab+"=1")
	tests.Stdout, tests.Stderr = os.Stdout, os.Stderr
	return tests.Run()
}

// watchParent abandons the run once the program that started this one is gone:
// `go test` hands on no SIGTERM. It ends with ctx.
func watchParent(ctx context.Context, abandon func()) {
	parent := os.Getppid()
	for ctx.Err() == nil {
		if os.Getppid() != parent {
			abandon()
		}
		time.Sleep(time.Second)
	}
}

// takeDown has time of its own: it is wanted after an interruption too.
func takeDown(progress func(string)) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	return lab.Down(ctx, cluster.DefaultDir, progress)
}
