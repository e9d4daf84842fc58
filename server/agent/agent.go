// Package agent is the front door in the pod, or on a host: it has the engine read a class
// with the pod's own tokens, writes the files as the CSI driver does, keeps them fresh and
// tells the application of changes. It knows no store and makes no decision about values.
//
// Start with New and Agent.Run. Follower, Target and Changes are what lanyard mount
// --watch stands on too.
package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/internal/atomicfile"
	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/engine"
)

// Options are what an Agent is made of.
type Options struct {
	// Read reads the volume, with the tokens as they are now, and fills in the outlook.
	Read func(context.Context, *engine.Outlook) (*engine.Volume, error)
	// Target is where the files go; nil for nowhere.
	Target *Target
	// EnvFile is the environment file that has the values too; empty for none.
	EnvFile string
	// Notifications tell the application of changes.
	Notifications []Notification
	// Now has the files read at once; nil never does.
	Now <-chan struct{}
	// Registry is where the agent's metrics are registered.
	Registry prometheus.Registerer
}

// Agent keeps files fresh. Ready and Trouble are safe for concurrent use.
type Agent struct {
	opts      Options
	notifiers []*notifier
	metrics   *metrics

	mu      sync.Mutex
	ready   bool
	failing error // why the last round failed
	since   time.Time
	stale   int
}

// New returns an Agent that has done nothing yet.
func New(opts Options) *Agent {
	a := &Agent{opts: opts, metrics: newMetrics(opts.Registry), failing: errors.New("nothing was read yet")}
	for _, n := range opts.Notifications {
		a.notifiers = append(a.notifiers, newNotifier(n, a.metrics.notified(n.Kind)))
	}
	return a
}

// Once reads and writes once, and runs what is to be run for the first content of files.
func (a *Agent) Once(ctx context.Context) error {
	f := Follower{Read: a.opts.Read, Write: a.write}
	r := f.Round(ctx)
	if r.Err != nil {
		return r.Err
	}
	klog.InfoS("The files are written", "files", len(r.Volume.Files))
	var failed []error
	for _, n := range a.opts.Notifications {
		if n.File == "" {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, sendTime)
		if err := n.Send(limited); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", message.Printable(n.File), err))
		}
		cancel()
	}
	return errors.Join(failed...)
}

// Run keeps the files fresh until ctx ends. Its error is of a target that cannot be read.
func (a *Agent) Run(ctx context.Context) error {
	f := Follower{Read: a.opts.Read, Write: a.write, Report: a.record, Next: WhenDue, Now: a.opts.Now}
	if a.opts.Target != nil {
		var err error
		if f.Before, err = a.opts.Target.Files(); err != nil {
			return err
		}
		// What an earlier process wrote is good until the first read.
		there := f.Before != nil
		if a.opts.EnvFile != "" {
			there = there && atomicfile.CheckOwned(a.opts.EnvFile) == nil
		}
		a.mu.Lock()
		a.ready = there
		a.mu.Unlock()
	}
	// An application that starts with its first files needs not be told of them.
	first := f.Before == nil
	report := f.Report
	f.Report = func(r Round) error {
		if err := report(r); err != nil || r.Err != nil {
			return err
		}
		if len(r.Changes) > 0 {
			a.changed(r.Changes, first)
		}
		first = false
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	var sending sync.WaitGroup
	defer sending.Wait()
	defer cancel()
	for _, n := range a.notifiers {
		sending.Go(func() { n.run(ctx) })
	}
	return f.Run(ctx)
}

// write writes everything, or nothing where that can be told before.
func (a *Agent) write(files []engine.File) error {
	var text []byte
	var err error
	if a.opts.EnvFile != "" {
		if text, err = EnvFile(files); err != nil {
			return err
		}
		if err := atomicfile.CheckOwned(a.opts.EnvFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("--env-file: %w", err)
		}
	}
	if a.opts.Target != nil {
		if err := a.opts.Target.Write(files); err != nil {
			return fmt.Errorf("--target: %w", err)
		}
	}
	if a.opts.EnvFile != "" {
		if err := atomicfile.WriteOwned(a.opts.EnvFile, text, envMode); err != nil {
			return fmt.Errorf("--env-file: %w", err)
		}
	}
	return nil
}

// envMode is that of the environment file, which the kubelet reads as root.
const envMode = 0o600

// changed tells of files that are not what they were, or are the first.
func (a *Agent) changed(changes []Change, first bool) {
	for _, n := range a.notifiers {
		if n.File == "" && !first || slices.ContainsFunc(changes, func(c Change) bool { return c.Path == n.File }) {
			n.changed()
		}
	}
	if first {
		return
	}
	var names []string
	for _, c := range changes[:min(len(changes), changesLogged)] {
		names = append(names, c.What+" "+message.Printable(c.Path))
	}
	klog.InfoS("Files have changed", "count", len(changes), "files", strings.Join(names, ", "))
	a.metrics.changes.Inc()
}

// changesLogged is how many changed files a line of the log names.
const changesLogged = 20

// record records a round: in the log once for each change of state, in metrics and for Trouble.
func (a *Agent) record(r Round) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	since, wasReady := a.since, a.ready
	a.failing, a.stale = r.Err, r.Outlook.Stale
	if r.Err != nil {
		a.metrics.refreshes.WithLabelValues("failed").Inc()
		a.metrics.fresh.Set(0)
		if r.Failed == 1 {
			a.since = now
			said := "The files cannot be read anew and stay as they are; it is tried again"
			if !wasReady {
				said = "The files cannot be read; it is tried again"
			}
			klog.ErrorS(nil, said, "cause", r.Err.Error())
		}
		return nil
	}
	a.ready, a.since = true, time.Time{}
	a.metrics.refreshes.WithLabelValues("ok").Inc()
	a.metrics.success.Set(float64(now.Unix()))
	a.metrics.stale.Set(float64(r.Outlook.Stale))
	if r.Outlook.Stale == 0 {
		a.metrics.fresh.Set(1)
	} else {
		a.metrics.fresh.Set(0)
	}
	switch {
	case !wasReady:
		klog.InfoS("The files are written", "files", len(r.Volume.Files))
	case !since.IsZero():
		klog.InfoS("The files are kept fresh again", "failingSince", since.UTC().Format(time.RFC3339))
	}
	return nil
}

// Ready says why there are no files yet; nil if there are, fresh or not.
func (a *Agent) Ready(context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.ready {
		return fmt.Errorf("no files yet: %w", a.failing)
	}
	return nil
}

// Trouble says why the files may be older than they should be; empty if they are not.
func (a *Agent) Trouble() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.failing != nil && !a.since.IsZero():
		return fmt.Sprintf("not fresh since %s: %v", a.since.UTC().Format(time.RFC3339), a.failing)
	case a.stale > 0:
		return fmt.Sprintf("not fresh: %d values are past their refresh, because their store is unavailable", a.stale)
	}
	return ""
}
