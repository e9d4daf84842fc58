package agent

import "github.com/prometheus/client_golang/prometheus"

// metrics count what an agent does.
type metrics struct {
	refreshes     *prometheus.CounterVec
	changes       prometheus.Counter
	notifications *prometheus.CounterVec
	fresh         prometheus.Gauge
	success       prometheus.Gauge
	stale         prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		refreshes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lanyard_agent_refreshes_total", Help: "Rounds in which the agent read and wrote its files, by result: ok, failed.",
		}, []string{"result"}),
		changes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "lanyard_agent_changes_total", Help: "Rounds that changed files of the agent.",
		}),
		notifications: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lanyard_agent_notifications_total", Help: "Notifications of changes, by kind (signal, command, url) and result: ok, retried, failed.",
		}, []string{"kind", "result"}),
		fresh: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "lanyard_agent_fresh", Help: "1 if the last round succeeded and all values are within their refresh, else 0.",
		}),
		success: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "lanyard_agent_last_success_timestamp_seconds", Help: "When the agent last read and wrote its files; 0 if it never has.",
		}),
		stale: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "lanyard_agent_stale_values", Help: "Values in the agent's files that are past their refresh, because their store is unavailable.",
		}),
	}
	registry.MustRegister(m.refreshes, m.changes, m.notifications, m.fresh, m.success, m.stale)
	return m
}

// notified returns how notifications of a kind are counted.
func (m *metrics) notified(kind string) func(result string) {
	for _, result := range []string{"ok", "retried", "failed"} {
		m.notifications.WithLabelValues(kind, result)
	}
	return func(result string) { m.notifications.WithLabelValues(kind, result).Inc() }
}
