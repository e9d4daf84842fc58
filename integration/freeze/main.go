// Command freeze runs a program and stops it at random moments, as a machine
// does that is suspended or starved: the whole process group gets SIGSTOP and,
// after a pause, SIGCONT. A test that fails only under freeze measures time where
// it should wait for an event. The program's exit code is that of freeze.
//
//	go test -exec 'freeze -pause 5s' ./...
//
// The flag seed repeats the moments of an earlier run.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

func main() {
	pause := flag.Duration("pause", 5*time.Second, "how long each stop lasts")
	stops := flag.Int("stops", 4, "max number of stops")
	seed := flag.Uint64("seed", rand.Uint64(), "seed of the moments")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: freeze [-pause 5s] [-stops 4] [-seed N] PROGRAM [ARGUMENT...]")
		os.Exit(2)
	}
	code, err := run(flag.Args(), moments(*seed, *stops), *pause, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "freeze:", err)
		os.Exit(2)
	}
	if code != 0 {
		fmt.Fprintf(os.Stderr, "freeze: exit code %d with -seed %d\n", code, *seed)
	}
	os.Exit(code)
}

// moments returns for how long the program runs before each stop. The times
// are spread evenly over the orders of magnitude from 2 ms to 4 s, because some
// packages are tested in milliseconds and some in many seconds.
func moments(seed uint64, stops int) []time.Duration {
	random := rand.New(rand.NewPCG(seed, 0))
	runs := make([]time.Duration, stops)
	for i := range runs {
		runs[i] = time.Duration(2e6 * math.Exp(random.Float64()*math.Log(2000)))
	}
	return runs
}

// run runs a program, with a stop after each of the times, and returns its exit
// code. It writes when the stops were.
func run(command []string, runs []time.Duration, pause time.Duration, log io.Writer) (int, error) {
	program := exec.Command(command[0], command[1:]...) //nolint:gosec,noctx // the caller's own program, which ends with freeze
	program.Stdin, program.Stdout, program.Stderr = os.Stdin, os.Stdout, os.Stderr
	program.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := program.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- program.Wait() }()

	var stopped []string
	begin := time.Now()
	for _, d := range runs {
		select {
		case err := <-ended:
			return exitCode(err, stopped, log)
		case <-time.After(d):
		}
		stopped = append(stopped, time.Since(begin).Round(time.Millisecond).String())
		group := -program.Process.Pid
		if err := syscall.Kill(group, syscall.SIGSTOP); err != nil {
			continue // it has just ended
		}
		time.Sleep(pause)
		if err := syscall.Kill(group, syscall.SIGCONT); err != nil && err != syscall.ESRCH { // ESRCH: it had ended before it was stopped
			return 0, err
		}
	}
	return exitCode(<-ended, stopped, log)
}

// exitCode returns the exit code of a program that ended with err, and writes
// when it was stopped if it failed.
func exitCode(err error, stopped []string, log io.Writer) (int, error) {
	if err == nil {
		return 0, nil
	}
	fmt.Fprintf(log, "freeze: stopped after %s\n", strings.Join(stopped, ", "))
	var failed *exec.ExitError
	if !errors.As(err, &failed) {
		return 0, err
	}
	return max(failed.ExitCode(), 1), nil
}
