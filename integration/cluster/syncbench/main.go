// Command syncbench measures the sync controller on a real API server and a real Vault:
// 10,000 annotated classes of one service account over 200 secrets. It prints one line of
// JSON, a syncresult.Result:
//
//	go run ./syncbench -binary ../../bin/lanyard-sync [-classes 10000] [-idle 2m] [-changes 20]
//
// Beside the first sync stands a floor: the same Secrets, with the same metadata,
// written from memory by as many workers.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/lanyardhq/lanyard/integration/bench/syncresult"
)

// Options are the flags.
type Options struct {
	binary  string
	classes int
	secrets int
	changes int
	idle    time.Duration
}

// workers is how many objects the controller works on at a time, and how many requests
// the floor has in flight: half of the workers are one namespace's.
const workers = 32

func main() {
	var o Options
	flag.StringVar(&o.binary, "binary", "../../bin/lanyard-sync", "the `FILE` with the controller")
	flag.IntVar(&o.classes, "classes", 10_000, "`N` classes")
	flag.IntVar(&o.secrets, "secrets", 200, "`N` secrets of the store that they read")
	flag.IntVar(&o.changes, "changes", 20, "`N` changes in the store")
	flag.DurationVar(&o.idle, "idle", 2*time.Minute, "`TIME` in which nothing changes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	result, err := measure(ctx, o)
	stop()
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(result)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "syncbench:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, o Options) (_ *syncresult.Result, err error) {
	directory, err := os.MkdirTemp("", "lanyard-syncbench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(directory)) }()
	if o.binary, err = filepath.Abs(o.binary); err != nil {
		return nil, err
	}
	w, err := newWorld(ctx, directory, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	result := &syncresult.Result{Classes: o.classes, Secrets: o.secrets}
	for _, step := range []func(context.Context, *syncresult.Result) error{w.floor, w.makeClasses, w.first, w.idle, w.change, w.hour} {
		if err := step(ctx, result); err != nil {
			return nil, err
		}
	}
	return result, nil
}

func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }
