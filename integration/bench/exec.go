package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// measureExec measures what lanyard-exec adds to the start of a command: /bin/true with 20
// variables from the files of a volume, against the same command alone.
func measureExec(ctx context.Context, l *lab) ([]figure, error) {
	const variables, command = 20, "/bin/true"
	volume, err := l.newDir()
	if err != nil {
		return nil, err
	}
	binary, err := filepath.Abs(filepath.Join(filepath.Dir(l.binary), "lanyard-exec"))
	if err != nil {
		return nil, err
	}
	args := []string{"--volume", volume}
	for i := range variables {
		name := fmt.Sprintf("value-%02d", i)
		if err := os.WriteFile(filepath.Join(volume, name), make1KiB(i), 0o600); err != nil {
			return nil, err
		}
		args = append(args, "--env", fmt.Sprintf("VALUE_%02d=%s", i, name))
	}
	args = append(args, "--", command)

	var with, without []float64
	timed := func(samples *[]float64, program string, args ...string) func() error {
		return func() error {
			begun := time.Now()
			output, err := exec.CommandContext(ctx, program, args...).CombinedOutput() //nolint:gosec // the program that is measured
			*samples = append(*samples, ms(time.Since(begun)))
			if err != nil {
				return fmt.Errorf("%w: %s", err, output)
			}
			return nil
		}
	}
	run := func(n int) error {
		with, without = nil, nil
		return alternate(n, timed(&with, binary, args...), timed(&without, command))
	}
	if err := errors.Join(run(3), run(l.samples(200))); err != nil { // the first bring the binary into memory
		return nil, err
	}
	through, alone := summarize("ms", with), summarize("ms", without)
	info, err := os.Stat(binary)
	if err != nil {
		return nil, err
	}
	return []figure{
		figure{
			What: "exec of /bin/true with 20 variables from a volume: p50", Unit: "ms", Value: through.P50, Floor: alone.P50,
			Samples: map[string]summary{"lanyard-exec": through, "floor": alone}, Note: "the floor is the command alone",
		}.held(atMost, alone.P50+15, "the command alone + 15 ms"),
		figure{What: "size of lanyard-exec", Unit: "MB", Value: float64(info.Size()) / 1e6}.held(atMost, 6, "6 MB"),
	}, nil
}

// make1KiB is a value of 1 KiB that is text.
func make1KiB(i int) []byte {
	value := make([]byte, 1024)
	for at := range value {
		value[at] = "abcdefghijklmnopqrstuvwxyz"[(i+at)%26]
	}
	return value
}
