// Command bench measures what the README says about Lanyard's speed, size and
// calls to the store, and fails if a target is missed.
//
// What is measured is the stripped binary as users run it, in a process of its
// own, called by the Secrets Store CSI driver's own client. Beside it, in the
// same run and by the same client, a floor is measured: a gRPC server, also in
// a process of its own, that answers the same bytes from memory and does
// nothing else. The store is a real Vault behind a proxy that counts requests
// and makes them slow. All of it listens on unix sockets and 127.0.0.1, and
// ends with this program.
//
// `bench provider` measures mounts of any provider that is running, at its
// socket, and compares them with nothing but the floor: provider.go.
//
// Start with groups, which lists the figures, and figure.go, which says what a
// figure is. Files named after a group have its measurement.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
)

// The exit codes.
const (
	exitMet    = 0
	exitMissed = 1 // a target was missed
	exitFailed = 2 // something could not be measured
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// options are the flags.
type options struct {
	binary string
	out    string
	readme string
	only   *regexp.Regexp
	quick  bool
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == floorCommand {
		if err := serveFloor(args[1:], stdin); err != nil {
			fmt.Fprintln(stderr, "floor:", err)
			return exitFailed
		}
		return exitMet
	}
	if len(args) > 0 && args[0] == providerCommand {
		switch err := runProvider(ctx, args[1:], stdout, stderr); {
		case errors.Is(err, flag.ErrHelp):
		case err != nil:
			fmt.Fprintln(stderr, "bench:", err)
			return exitFailed
		}
		return exitMet
	}
	o, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitMet
	}
	var result *result
	if err == nil {
		result, err = measure(ctx, o, stderr)
	}
	if err == nil {
		printTable(stdout, result)
		if o.out != "" && o.only.String() != "" {
			result, err = result.within(o.out)
		}
	}
	if err == nil {
		err = publish(o, result)
	}
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "bench:", err)
		return exitFailed
	case len(result.missed()) > 0:
		return exitMissed
	}
	return exitMet
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	var only string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.binary, "binary", "../bin/lanyard", "the stripped `file` to measure")
	flags.StringVar(&o.out, "out", "", "`directory` for results.json and results.svg; the tables go into its README.md")
	flags.StringVar(&o.readme, "readme", "", "a `file` that the six main figures go into, between its markers")
	flags.StringVar(&only, "only", "", "measure only the groups that match the `regexp`, and with -out replace them in a run of the same machine and day: "+groupNames())
	flags.BoolVar(&o.quick, "quick", false, "take a fifth of the samples")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	var err error
	if o.only, err = regexp.Compile(only); err != nil {
		return o, fmt.Errorf("-only: %w", err)
	}
	if (o.out != "" || o.readme != "") && o.quick {
		return o, errors.New("-out and -readme publish what was measured: leave out -quick")
	}
	if o.readme != "" && o.out == "" {
		return o, errors.New("-readme shows the results in a directory: give -out")
	}
	if o.binary, err = filepath.Abs(o.binary); err != nil {
		return o, err
	}
	if _, err := os.Stat(o.binary); err != nil {
		return o, fmt.Errorf("-binary: %w; build it with `make build`", err)
	}
	return o, nil
}
