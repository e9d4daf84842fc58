package kms

import (
	"context"
	"errors"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/internal/outage"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/kmsring"
	"github.com/lanyardhq/lanyard/server/rpc"
)

// failureLog is how often a failed call is logged after the first ten: an API
// server that lists what it cannot decrypt makes thousands.
const failureLog = 10 * time.Second

// Metrics count what the plugin does. Labels hold the operator's own names of
// keys and fixed sets of words.
type Metrics struct {
	registry   prometheus.Registerer
	calls      *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
	keyCalls   *prometheus.CounterVec
	keySeconds *prometheus.HistogramVec
	retries    prometheus.Counter
	write      *prometheus.GaugeVec
	keys       *prometheus.GaugeVec
	healthy    prometheus.Gauge
	rpc        *rpc.Metrics
	services   *outage.Tracker // by the keys' names

	mu      sync.Mutex
	named   []string // the keys that labels name
	writing string   // the key that is named
	uses    map[string]*keyUse
	log     rate.Sometimes
}

// NewMetrics registers the metrics; a process can do so once for a registry.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	buckets := []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2, 3, 5, 10}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		log:        rate.Sometimes{First: 10, Interval: failureLog},
		registry:   registry,
		uses:       map[string]*keyUse{},
		calls:      counter("lanyard_kms_calls_total", "Calls of the API server, by method and gRPC status code.", "method", "code"),
		seconds:    prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "lanyard_kms_call_seconds", Help: "Time to answer a call of the API server.", Buckets: buckets}, []string{"method"}),
		keyCalls:   counter("lanyard_kms_key_calls_total", "Calls of key services, probes included and repetitions not, by key, operation and result.", "key", "operation", "result"),
		keySeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "lanyard_kms_key_call_seconds", Help: "Time of a call of a key service, with its repetitions.", Buckets: buckets}, []string{"operation"}),
		retries:    prometheus.NewCounter(prometheus.CounterOpts{Name: "lanyard_kms_key_retries_total", Help: "Repetitions of calls because the key service was unavailable."}),
		write:      gauge("lanyard_kms_write_key", "1 for the key that Status names, which API servers write with.", "key"),
		keys:       gauge("lanyard_kms_ring_keys", "Keys of the ring, by state.", "state"),
		healthy:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "lanyard_kms_healthy", Help: "1 if Status calls the plugin healthy."}),
		rpc:        rpc.NewMetrics(registry, program),
	}
	up := gauge("lanyard_kms_key_up", "1 if the key's service answered the last call with it, 0 if it was unavailable.", "key")
	m.services = outage.New(up, m.logChange)
	registry.MustRegister(up, m.calls, m.seconds, m.keyCalls, m.keySeconds, m.retries, m.write, m.keys, m.healthy)
	return m
}

// logChange logs that the service of a key went down or came back. What is said of the key that is
// named, current.go logs.
func (m *Metrics) logChange(c outage.Change) {
	m.mu.Lock()
	writing := m.writing == c.Name
	m.mu.Unlock()
	switch {
	case writing:
	case c.Down:
		klog.ErrorS(nil, "The key's service is down; what was encrypted with the key cannot be read until it answers", "key", c.Name, "since", c.Since.UTC().Format(time.RFC3339), "cause", bounded(c.Cause.Error()))
	default:
		klog.InfoS("The key's service answers again", "key", c.Name, "downSince", c.Since.UTC().Format(time.RFC3339))
	}
}

// follow adds the age of the last good answer.
func (m *Metrics) follow(c *current) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "lanyard_kms_last_good_age_seconds",
		Help: "Time since the write key was last known to work; since the start if it never was.",
	}, func() float64 { return c.age(time.Now()).Seconds() }))
}

// ring counts the keys of a ring, and forgets those that are in it no more.
func (m *Metrics) ring(ring *kmsring.Ring) {
	count := map[kmsring.State]int{kmsring.StateWrite: 0, kmsring.StateRead: 0, kmsring.StateRetired: 0}
	for _, entry := range ring.Entries() {
		count[entry.State]++
	}
	for state, n := range count {
		m.keys.WithLabelValues(string(state)).Set(float64(n))
	}
	m.services.Keep(func(name string) bool {
		entry := ring.ByName(name)
		return entry != nil && entry.State != kmsring.StateRetired
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range m.named {
		if ring.ByName(name) == nil {
			m.keyCalls.DeletePartialMatch(prometheus.Labels{"key": name})
			delete(m.uses, name)
		}
	}
	m.named = nil
	for _, entry := range ring.Entries() {
		m.named = append(m.named, entry.Name)
	}
}

// writes says which key is named, if one is, and whether it works.
func (m *Metrics) writes(name string, healthy bool) {
	m.mu.Lock()
	m.writing = name
	m.mu.Unlock()
	m.write.Reset()
	if name != "" {
		m.write.WithLabelValues(name).Set(1)
	}
	m.healthy.Set(0)
	if healthy {
		m.healthy.Set(1)
	}
}

// called counts a call of a key service.
func (m *Metrics) called(name, operation string, err error, took time.Duration) {
	m.keyCalls.WithLabelValues(name, operation, word(err)).Inc()
	m.keySeconds.WithLabelValues(operation).Observe(took.Seconds())
	now := time.Now()
	m.mu.Lock()
	m.count(name, operation, err, now)
	m.mu.Unlock()
	switch {
	case errors.Is(err, fault.ErrUnavailable):
		m.services.Failed(name, now.Add(-took), now, err)
	case err == nil || errors.Is(err, fault.ErrNotFound) || errors.Is(err, fault.ErrDenied) || errors.Is(err, fault.ErrUnauthenticated):
		m.services.Answered(name, now)
	}
}

// observe counts and logs the API server's calls.
func (s *service) observe(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	began := time.Now()
	resp, err := handler(ctx, req)
	took := time.Since(began)
	method, code := strings.ToLower(path.Base(info.FullMethod)), status.Code(err)
	s.metrics.calls.WithLabelValues(method, code.String()).Inc()
	s.metrics.seconds.WithLabelValues(method).Observe(took.Seconds())
	switch {
	case err == nil:
		klog.V(2).InfoS("Call answered", "method", method, "took", took)
	case method == "status": // what it tells was logged when it was found out
	default:
		failed := func() {
			klog.ErrorS(nil, "Call failed", "method", method, "code", code.String(), "cause", status.Convert(err).Message(), "took", took)
		}
		if klog.V(2).Enabled() {
			failed()
		} else {
			s.metrics.log.Do(failed)
		}
	}
	return resp, err
}
