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

// dialectMetrics are the Metrics of one dialect.
type dialectMetrics struct {
	mounts   *prometheus.CounterVec // by code
	answered prometheus.Counter     // of mounts, those with OK
	seconds  prometheus.Observer
	inFlight prometheus.Gauge
}

func (m *Metrics) of(dialect string) dialectMetrics {
	mounts := m.mounts.MustCurryWith(prometheus.Labels{"dialect": dialect})
	return dialectMetrics{mounts, mounts.WithLabelValues(codes.OK.String()), m.seconds.WithLabelValues(dialect), m.inFlight.WithLabelValues(dialect)}
}

// begin counts a mount in flight.
func (m *dialectMetrics) begin() (began time.Time) {
	m.inFlight.Inc()
	return time.Now()
}

// end counts a mount with its outcome.
func (m *dialectMetrics) end(began time.Time, code codes.Code) {
	m.inFlight.Dec()
	m.seconds.Observe(time.Since(began).Seconds())
	if code == codes.OK {
		m.answered.Inc()
		return
	}
	m.mounts.WithLabelValues(code.String()).Inc()
}
