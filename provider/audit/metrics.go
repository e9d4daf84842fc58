package audit

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/outage"
)

// metrics count what is written and tell once when a sink fails and when it works again.
type metrics struct {
	records  *prometheus.CounterVec
	sequence prometheus.Gauge
	outages  *outage.Tracker
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lanyard_audit_records_total",
			Help: "Audit records by sink (file, stdout, webhook; queue for those that no sink had room for) and result: written, or lost.",
		}, []string{"sink", "result"}),
		sequence: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "lanyard_audit_sequence",
			Help: "The number of the last audit record of the chain; 0 without a chain.",
		}),
	}
	up := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "lanyard_audit_up",
		Help: "1 if the last audit records reached the sink, 0 if not.",
	}, []string{"sink"})
	if registry != nil {
		registry.MustRegister(m.records, m.sequence, up)
	}
	m.outages = outage.New(up, func(change outage.Change) {
		if change.Down {
			klog.ErrorS(nil, "Audit records cannot be written", "sink", change.Name, "cause", message.Excerpt(change.Cause.Error()))
			return
		}
		klog.InfoS("Audit records are written again", "sink", change.Name, "since", change.Since)
	})
	return m
}

func (m *metrics) lost(sink string, n uint64) {
	m.records.WithLabelValues(sink, "lost").Add(float64(n))
}

func (m *metrics) up(sink string, now time.Time) { m.outages.Answered(sink, now) }

func (m *metrics) down(sink string, now time.Time, cause error) {
	m.outages.Failed(sink, now, now, cause)
}

// wrote notes what became of n records.
func (m *metrics) wrote(sink string, now time.Time, n uint64, err error) {
	if err != nil {
		m.lost(sink, n)
		m.down(sink, now, err)
		return
	}
	m.records.WithLabelValues(sink, "written").Add(float64(n))
	m.up(sink, now)
}
