package sync

import (
	"encoding/json"
	gosync "sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count what the controller does. They name no object.
type Metrics struct {
	writes *prometheus.CounterVec
	change prometheus.Histogram

	objects, oldest *prometheus.Desc
	now             func() time.Time
	mu              gosync.Mutex
	followed        []*Reconciler
}

// NewMetrics registers the metrics.
func NewMetrics(registry prometheus.Registerer, now func() time.Time) *Metrics {
	m := &Metrics{
		now: now,
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lanyard_sync_writes_total",
			Help: "Secrets written, by result: created, changed, same (written again, which puts right what others changed), failed.",
		}, []string{"result"}),
		change: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "lanyard_sync_change_seconds",
			Help:    "Time from a change, in a store that dates it such as Vault's KV 2, until the Secret had it.",
			Buckets: []float64{1, 5, 10, 20, 30, 45, 60, 90, 120, 300, 900, 3600},
		}),
		objects: prometheus.NewDesc("lanyard_sync_objects", "Objects that ask for Secrets, by kind and state: synced, failed.", []string{"kind", "state"}, nil),
		oldest:  prometheus.NewDesc("lanyard_sync_oldest_seconds", "Time since the object of each kind that waits longest was last as its store has it.", []string{"kind"}, nil),
	}
	for _, result := range []string{"created", "changed", "same", "failed"} {
		m.writes.WithLabelValues(result)
	}
	registry.MustRegister(m.writes, m.change, m)
	return m
}

func (m *Metrics) follow(r *Reconciler) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.followed = append(m.followed, r)
}

// Describe sends the descriptions of what Collect sends.
func (m *Metrics) Describe(to chan<- *prometheus.Desc) { to <- m.objects; to <- m.oldest }

// Collect counts the objects of each Input.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.followed {
		synced, failed, oldest := r.count(m.now())
		kind := r.input.Kind()
		to <- prometheus.MustNewConstMetric(m.objects, prometheus.GaugeValue, float64(synced), kind, "synced")
		to <- prometheus.MustNewConstMetric(m.objects, prometheus.GaugeValue, float64(failed), kind, "failed")
		to <- prometheus.MustNewConstMetric(m.oldest, prometheus.GaugeValue, oldest.Seconds(), kind)
	}
}

// count says how many objects are synced and how many are not, and how long ago the one
// was synced for which that is longest.
func (r *Reconciler) count(now time.Time) (synced, failed int, oldest time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.states {
		since := s.success
		switch {
		case s.problem != nil:
			failed++
			if since.IsZero() {
				since = s.since
			}
		case !s.success.IsZero():
			synced++
		}
		if !since.IsZero() {
			oldest = max(oldest, now.Sub(since))
		}
	}
	return synced, failed, oldest
}

func versionsText(versions map[string]string) (string, error) {
	text, err := json.Marshal(versions)
	return string(text), err
}
