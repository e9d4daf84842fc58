package csi

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"

	"github.com/lanyardhq/lanyard/server/rpc"
)

// Metrics count what the servers of all dialects do. Labels hold nothing that
// a request can choose.
type Metrics struct {
	mounts   *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight *prometheus.GaugeVec
	rpc      *rpc.Metrics
}

// NewMetrics registers the metrics; a process can do so once for a registry.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		mounts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lanyard_mounts_total",
			Help: "Mounts answered, by dialect and gRPC status code.",
		}, []string{"dialect", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "lanyard_mount_seconds",
			Help:    "Time to answer a mount.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120},
		}, []string{"dialect"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "lanyard_mounts_in_flight",
			Help: "Mounts that are being worked on or wait for their turn.",
		}, []string{"dialect"}),
		rpc: rpc.NewMetrics(registry, program),
	}
	registry.MustRegister(m.mounts, m.seconds, m.inFlight)
	return m
}

// begin counts a mount in flight until done is called with its outcome.
func (m *Metrics) begin(dialect string) (done func(codes.Code)) {
	start := time.Now()
	inFlight := m.inFlight.WithLabelValues(dialect)
	inFlight.Inc()
	return func(code codes.Code) {
		inFlight.Dec()
		m.seconds.WithLabelValues(dialect).Observe(time.Since(start).Seconds())
		m.mounts.WithLabelValues(dialect, code.String()).Inc()
	}
}
