package process

import (
	"context"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"k8s.io/klog/v2"
)

// exitGrace is how long after the shutdown time the process ends whatever still runs.
const exitGrace = 3 * time.Second

// NewShutdown returns a Shutdown that lets work in flight take so long to end.
func NewShutdown(timeout time.Duration) *Shutdown {
	return &Shutdown{Timeout: timeout, exit: os.Exit} //nolint:forbidigo // main waits for what does not return
}

// Shutdown ends a process that was told to stop and does not: a call that never
// returns, in a library or over a device of the node, cannot be cancelled.
type Shutdown struct {
	// Timeout is how long work in flight may take to end.
	Timeout time.Duration

	exit func(code int)
	mu   sync.Mutex
	runs map[string]int
}

// Runs names something that has to end before the process does, until it calls ended.
func (s *Shutdown) Runs(name string) (ended func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runs == nil {
		s.runs = map[string]int{}
	}
	s.runs[name]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.runs[name]--; s.runs[name] == 0 {
			delete(s.runs, name)
		}
	}
}

// Watch waits in the background until ctx ends, which tells the process to stop. If
// done has not been called a moment after Timeout, it logs what still runs and exits.
func (s *Shutdown) Watch(ctx context.Context) (done func()) {
	ended := make(chan struct{})
	go func() {
		select {
		case <-ended:
			return
		case <-ctx.Done():
		}
		select {
		case <-ended:
		case <-time.After(s.Timeout + exitGrace):
			s.mu.Lock()
			running := slices.Sorted(maps.Keys(s.runs))
			s.mu.Unlock()
			klog.ErrorS(nil, "The process ends though not everything in it has ended", "waited", s.Timeout+exitGrace, "running", running)
			klog.Flush()
			s.exit(1)
		}
	}()
	return sync.OnceFunc(func() { close(ended) })
}
