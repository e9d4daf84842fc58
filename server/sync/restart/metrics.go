package restart

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the controller's. No label holds the name of an object.
type Metrics struct {
	rollouts *prometheus.CounterVec
	waiting  *prometheus.GaugeVec
	running  prometheus.Gauge
	failing  prometheus.Gauge
}

// NewMetrics registers the metrics.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		rollouts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lanyard_restart_rollouts_total",
			Help: "Rollouts because of changed versions that ended: ready, or failed (not ready in time).",
		}, []string{"result"}),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "lanyard_restart_waiting",
			Help: "Workloads that wait to be restarted, by the reason.",
		}, []string{"reason"}),
		running: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "lanyard_restart_running",
			Help: "Workloads that are being restarted.",
		}),
		failing: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "lanyard_restart_failing",
			Help: "Workloads that did not get ready after their restart and still are not.",
		}),
	}
	for _, result := range []string{resultReady, resultFailed} {
		m.rollouts.WithLabelValues(result)
	}
	registry.MustRegister(m.rollouts, m.waiting, m.running, m.failing)
	return m
}

// show sets the gauges to what was decided.
func (m *Metrics) show(all []*workload, verdicts []verdict) {
	waiting := map[string]int{}
	running, failing := 0, 0
	for i, w := range all {
		if verdicts[i].waits != "" {
			waiting[verdicts[i].waits]++
		}
		if w.record == nil {
			continue
		}
		if verdicts[i].start || w.record.Rollout.running() {
			running++
		}
		if !verdicts[i].start && w.record.Rollout.failing() {
			failing++
		}
	}
	for _, reason := range waitReasons {
		m.waiting.WithLabelValues(reason).Set(float64(waiting[reason]))
	}
	m.running.Set(float64(running))
	m.failing.Set(float64(failing))
}
