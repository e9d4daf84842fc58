// Package reload makes the changes of a file hold while a program runs. It
// knows nothing of what the file says: who starts a Watcher reads the file and
// puts what it says in place of what held before.
//
// Start with New.
package reload

import (
	"context"
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/klog/v2"
)

// Interval is how often a file is read. A change holds after it was read the
// same twice, so that a file that is being written is not taken half done. Tests
// of a whole program shorten it before it starts.
var Interval = 2 * time.Second

// Retry is how often a content that was refused is tried again: whether it can
// hold may depend on more than the file.
const Retry = 30 * time.Second

// File is a file that changes, and what to do then.
type File struct {
	// Path is where it is.
	Path string
	// Name is what logs and metrics call it: "configuration file".
	Name string
	// Metrics is how the names of its metrics begin: "lanyard_config".
	Metrics string
	// Read returns the content, of a bounded size. Its error says why there is
	// none and names the file.
	Read func() ([]byte, error)
	// Apply makes a content hold. After an error the one before still does, and
	// the same content is tried again every Retry.
	Apply func(content []byte) error
}

// Refusal is a content that does not hold.
type Refusal struct {
	Cause string    // names the file
	Since time.Time // when none held any more that was newer than what holds
}

// Watcher makes the changes of a file hold. Run and Reload may be called at the same
// time.
type Watcher struct {
	file File

	mu sync.Mutex
	// last is the content that was last tried, good or not; next is what was
	// read since and may still change.
	last, next string
	// tried is when last was.
	tried time.Time

	// refusal is why last does not hold; nil if it does. It is asked for while a content is
	// tried, which may take long.
	refusal atomic.Pointer[Refusal]

	successful prometheus.Gauge
	timestamp  prometheus.Gauge
}

// New returns a Watcher of a file whose content holds already, and registers
// two metrics that say whether the newest one does, and since when.
func New(file File, content []byte, registry prometheus.Registerer) *Watcher {
	w := &Watcher{
		file: file, last: digest(content, nil), next: digest(content, nil),
		successful: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: file.Metrics + "_last_reload_successful",
			Help: "1 if the " + file.Name + " is what holds; 0 if it cannot be used and an earlier one holds.",
		}),
		timestamp: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: file.Metrics + "_last_reload_success_timestamp_seconds",
			Help: "When the " + file.Name + " that holds was read.",
		}),
	}
	registry.MustRegister(w.successful, w.timestamp)
	w.succeeded()
	return w
}

// Run looks at the file until ctx ends. It is polled, because a ConfigMap
// changes by the swap of a link and a file system's notices come too early, too
// often or, on some, not at all.
func (w *Watcher) Run(ctx context.Context) {
	ticker := time.NewTicker(Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			w.look()
		}
	}
}

// Refused is why the newest content does not hold; nil if it does, and for a Watcher that
// is nil.
func (w *Watcher) Refused() *Refusal {
	if w == nil {
		return nil
	}
	return w.refusal.Load()
}

// Reload reads the file and makes it hold at once, changed or not, for what else it
// depends on may have changed. After an error what held before still does, and Run
// tries again.
func (w *Watcher) Reload() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	content, err := w.file.Read()
	w.next = digest(content, err)
	return w.apply(w.next, content, err)
}

func (w *Watcher) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	content, err := w.file.Read()
	now := digest(content, err)
	settled := now == w.next
	w.next = now
	again := now == w.last
	if !settled || again && (w.Refused() == nil || time.Since(w.tried) < Retry) {
		return
	}
	before := w.Refused()
	if err := w.apply(now, content, err); err == nil {
		klog.InfoS("The "+w.file.Name+" has changed and holds from now on", "file", w.file.Path)
	} else if !again || before == nil || before.Cause != err.Error() {
		klog.ErrorS(nil, "The "+w.file.Name+" has changed and cannot be used; the one before still holds", "cause", err.Error())
	}
}

// apply makes what was read hold, unless reading failed.
func (w *Watcher) apply(now string, content []byte, err error) error {
	w.last, w.tried = now, time.Now()
	if err == nil {
		err = w.file.Apply(content)
	}
	if err != nil {
		w.successful.Set(0)
		since := w.tried
		if before := w.Refused(); before != nil {
			since = before.Since
		}
		w.refusal.Store(&Refusal{err.Error(), since})
		return err
	}
	w.refusal.Store(nil)
	w.succeeded()
	return nil
}

func (w *Watcher) succeeded() {
	w.successful.Set(1)
	w.timestamp.SetToCurrentTime()
}

// digest stands for what was read, or for why nothing could be.
func digest(content []byte, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	sum := sha256.Sum256(content)
	return string(sum[:])
}
