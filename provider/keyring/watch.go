package keyring

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/strict"
)

// interval is how often the file is read. A change holds after it was read the
// same twice, so that a file that is being written is not taken half done.
const interval = 2 * time.Second

// File is a ring file as it was read.
type File struct {
	// Path is what it was read from.
	Path string
	// Ring is what it says.
	Ring *Ring

	types  []key.Type
	digest string
}

// Load reads the ring file at path. types are the kinds of key service that
// there are. The error is an *Error.
func Load(path string, types []key.Type) (*File, error) {
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	ring, err := Parse(data, types)
	if err != nil {
		return nil, explain(path, err)
	}
	return &File{Path: path, Ring: ring, types: types, digest: digest(data, nil)}, nil
}

func explain(path string, err error) error {
	var problems strict.Problems
	if !errors.As(err, &problems) {
		problems = strict.Problems{{Text: err.Error()}}
	}
	return &Error{path, problems}
}

// Watcher makes changes of a ring file hold.
type Watcher struct {
	path  string
	types []key.Type
	ring  *Ring // the one that holds
	apply func(*Ring) error
	// last is the content that was last tried, good or not; next is what was
	// read since and may still change.
	last, next string

	successful prometheus.Gauge
	timestamp  prometheus.Gauge
}

// NewWatcher returns a Watcher that calls apply with each new ring after that
// of file, which holds already. When apply returns nil, nobody may begin to use
// the ring before, which is closed then; when it returns an error, that ring
// still holds.
func NewWatcher(file *File, apply func(*Ring) error, registry prometheus.Registerer) *Watcher {
	w := &Watcher{
		path: file.Path, types: file.types, ring: file.Ring, apply: apply, last: file.digest, next: file.digest,
		successful: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "lanyard_kms_ring_last_reload_successful",
			Help: "1 if the key ring file is what holds; 0 if it cannot be used and an earlier one holds.",
		}),
		timestamp: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "lanyard_kms_ring_last_reload_success_timestamp_seconds",
			Help: "When the key ring that holds was read.",
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
	ticker := time.NewTicker(interval)
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

// Ring is the ring that holds, for who closes it after Run has ended.
func (w *Watcher) Ring() *Ring { return w.ring }

func (w *Watcher) look() {
	data, err := read(w.path)
	now := digest(data, err)
	settled := now == w.next
	w.next = now
	if !settled || now == w.last {
		return
	}
	w.last = now
	if err == nil {
		err = w.reload(data)
	}
	if err != nil {
		w.successful.Set(0)
		klog.ErrorS(nil, "The key ring has changed and cannot be used; the one before still holds", "cause", err.Error())
		return
	}
	w.succeeded()
	klog.InfoS("The key ring has changed and holds from now on", "file", w.path, "keys", w.ring.String())
	if next, at := w.ring.Waits(time.Now()); next != nil {
		klog.InfoS("The new write key was not in the ring to read before; it reads from now on and writes later: until then every plugin of the cluster must have the new ring", "key", next.Name, "writesFrom", at.UTC().Format(time.RFC3339), "writesNow", w.ring.previous.Name)
	}
}

func (w *Watcher) reload(data []byte) error {
	ring, err := parse(data, w.types, w.ring, time.Now())
	if err != nil {
		return explain(w.path, err)
	}
	if err := w.apply(ring); err != nil {
		ring.Close()
		return explain(w.path, err)
	}
	w.ring.Close()
	w.ring = ring
	return nil
}

func (w *Watcher) succeeded() {
	w.successful.Set(1)
	w.timestamp.SetToCurrentTime()
}

// digest stands for what was read, or for why nothing could be.
func digest(data []byte, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	sum := sha256.Sum256(data)
	return string(sum[:])
}
