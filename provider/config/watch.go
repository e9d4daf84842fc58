package config

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/provider"
)

// interval is how often the file is read. A change holds after it was read the
// same twice, so that a file that is being written is not taken half done.
const interval = 2 * time.Second

// Watcher makes changes of a configuration file hold.
type Watcher struct {
	path  string
	apply func(provider.Config) error
	// last is the content that was last tried, good or not; next is what was
	// read since and may still change.
	last, next string

	successful prometheus.Gauge
	timestamp  prometheus.Gauge
}

// NewWatcher returns a Watcher that calls apply with each new configuration
// after that of file, which holds already. When apply returns an error, the
// configuration before is still the one that holds.
func NewWatcher(file *File, apply func(provider.Config) error, registry prometheus.Registerer) *Watcher {
	w := &Watcher{
		path: file.Path, apply: apply,
		last: digest(file.data, nil), next: digest(file.data, nil),
		successful: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "lanyard_config_last_reload_successful",
			Help: "1 if the configuration file is what holds; 0 if it cannot be used and an earlier one holds.",
		}),
		timestamp: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "lanyard_config_last_reload_success_timestamp_seconds",
			Help: "When the configuration that holds was read.",
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
		klog.ErrorS(nil, "The configuration file has changed and cannot be used; the one before still holds", "cause", err.Error())
		return
	}
	w.succeeded()
	klog.InfoS("The configuration file has changed and holds from now on", "file", w.path)
}

func (w *Watcher) reload(data []byte) error {
	file, err := parse(w.path, data)
	if err != nil {
		return err
	}
	if err := w.apply(file.Config); err != nil {
		return file.Explain(err)
	}
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
