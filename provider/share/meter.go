package share

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are what Pools count, by the names that the program gives them. No label holds
// the name of a tenant.
type Metrics struct {
	capacity, held, waiting, tenants *prometheus.GaugeVec
	wait                             *prometheus.HistogramVec
	refused                          *prometheus.CounterVec
}

// NewMetrics registers the metrics of Pools.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	label := []string{"pool"}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, label)
	}
	m := &Metrics{
		capacity: gauge("lanyard_share_capacity", "Units that namespaces share, guarantees aside."),
		held:     gauge("lanyard_share_held", "Units that namespaces hold."),
		waiting:  gauge("lanyard_share_waiting", "Requests that wait for units."),
		tenants:  gauge("lanyard_share_tenants_waiting", "Namespaces that wait for units."),
		wait: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "lanyard_share_wait_seconds",
			Help:    "Time that requests waited for units, of those that had to wait.",
			Buckets: []float64{.001, .01, .1, .5, 1, 2, 5, 10, 30, 60, 120},
		}, label),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lanyard_share_refused_total",
			Help: "Requests that got no units: their time was over, they did not want to wait, or they asked for more than one namespace can have.",
		}, label),
	}
	registry.MustRegister(m.capacity, m.held, m.waiting, m.tenants, m.wait, m.refused)
	return m
}

// Meter returns the Meter of a name, which must not be anything that a class can choose.
func (m *Metrics) Meter(name string) *Meter {
	return &Meter{
		capacity: m.capacity.WithLabelValues(name), held: m.held.WithLabelValues(name),
		waiting: m.waiting.WithLabelValues(name), tenants: m.tenants.WithLabelValues(name),
		wait: m.wait.WithLabelValues(name), refused: m.refused.WithLabelValues(name),
	}
}

// Meter is what Pools of one name count together. A nil Meter counts nothing.
type Meter struct {
	capacity, held, waiting, tenants prometheus.Gauge
	wait                             prometheus.Observer
	refused                          prometheus.Counter
}

func (m *Meter) addCapacity(units int64) {
	if m != nil {
		m.capacity.Add(float64(units))
	}
}

func (m *Meter) addHeld(units int64) {
	if m != nil {
		m.held.Add(float64(units))
	}
}

// addWaiting counts a request that waits, or with -1 one that does so no more, and its
// tenant if it is the only one of it.
func (m *Meter) addWaiting(requests float64, tenant bool) {
	if m == nil {
		return
	}
	m.waiting.Add(requests)
	if tenant {
		m.tenants.Add(requests)
	}
}

func (m *Meter) waited(d time.Duration) {
	if m != nil {
		m.wait.Observe(d.Seconds())
	}
}

func (m *Meter) refuse() {
	if m != nil {
		m.refused.Inc()
	}
}
