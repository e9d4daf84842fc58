// Command lanyard-exec is `lanyard exec` for values of a mounted volume alone: small enough
// to be copied into a pod's memory.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/lanyardhq/lanyard/server/exec"
)

const usage = `Run a command with secrets of a mounted volume in its environment, as lanyard exec does.

Usage:
  lanyard-exec --volume DIR [flags] -- COMMAND [ARGUMENT ...]
  lanyard-exec --copy-to FILE

Example:
  lanyard-exec --volume /secrets --env PGPASSWORD=db/password -- /app/server

Flags:
`

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	var f exec.Flags
	flags := pflag.NewFlagSet("lanyard-exec", pflag.ContinueOnError)
	f.AddTo(flags)
	copyTo := flags.String("copy-to", "", "copy this program to `FILE` and end: its image has no other program to do that")
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage, flags.FlagUsages()) }
	if err := flags.Parse(args); errors.Is(err, pflag.ErrHelp) {
		return 0
	} else if err != nil {
		return failed(2, err)
	}
	if *copyTo != "" {
		if err := copySelf(*copyTo); err != nil {
			return failed(1, err)
		}
		return 0
	}
	if f.Volume == "" {
		return failed(2, errors.New("--volume: missing; it is where the class's volume is mounted"))
	}
	if err := exec.CheckArgs(flags.Args()); err != nil {
		return failed(2, err)
	}
	if _, err := f.Options(); err != nil {
		return failed(2, err)
	}
	code, err := f.Run(context.Background(), flags.Args(), exec.Inherited(), exec.Volume{Dir: f.Volume}, os.Stderr)
	var start *exec.StartError
	switch {
	case errors.As(err, &start):
		return failed(start.ExitCode(), err)
	case err != nil:
		return failed(1, err)
	}
	return code
}

// copySelf copies this program to a file that everybody may execute. Whoever finds the file
// finds all of it.
func copySelf(to string) error {
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer from.Close() //nolint:errcheck // it was read only
	made, err := os.CreateTemp(filepath.Dir(to), ".lanyard-exec-*")
	if err != nil {
		return err
	}
	_, err = io.Copy(made, from)
	err = errors.Join(err, made.Chmod(0o555), made.Close())
	if err == nil {
		err = os.Rename(made.Name(), to)
	}
	if err != nil {
		os.Remove(made.Name()) //nolint:errcheck,gosec // what is told is why there is no copy
	}
	return err
}

func failed(code int, err error) int {
	fmt.Fprintf(os.Stderr, "lanyard-exec: %v\n", err)
	return code
}
