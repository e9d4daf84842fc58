package engine

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/provider/fault"
)

// metrics are the engine's. No label holds anything that a class can choose:
// stores appear by their type, outcomes by their kind.
type metrics struct {
	reads         *prometheus.CounterVec
	readPanics    prometheus.Counter
	cacheRequests cacheRequests
	evictions     evictions
	remembered    remembrances
	renewals      *prometheus.CounterVec
	age           prometheus.Histogram
	calls         *prometheus.CounterVec
	callSeconds   *prometheus.HistogramVec
}

// cacheRequests are the counters of one metric by result. They are looked up
// once, because every mount counts each of its values.
type cacheRequests struct{ hit, shared, miss, stale prometheus.Counter }

// evictions are the counters of one metric by what was evicted.
type evictions struct{ volume, shared, own prometheus.Counter }

// remembrances are the counters of one metric by what is not tried again.
type remembrances struct{ plan, volume prometheus.Counter }

func newMetrics(registry prometheus.Registerer) *metrics {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lanyard_cache_requests_total",
		Help: "Values asked of the cache: hit (no call), shared (waited for another mount's read), miss (read), stale (served past its refresh because the store is unavailable).",
	}, []string{"result"})
	evicted := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lanyard_cache_evictions_total",
		Help: "What was dropped because the cache was full: volume (made again without a call), value (read again), leased (a pod's own value with its lease, which is issued anew).",
	}, []string{"what"})
	remembered := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lanyard_failures_remembered_total",
		Help: "Mounts that failed without work because the same had failed a moment ago: plan (the class), volume (the files of the class).",
	}, []string{"what"})
	m := &metrics{
		remembered: remembrances{plan: remembered.WithLabelValues("plan"), volume: remembered.WithLabelValues("volume")},
		reads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lanyard_store_reads_total",
			Help: "Values read from stores, by type of store and result.",
		}, []string{"store", "result"}),
		readPanics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "lanyard_store_panics_total",
			Help: "Reads and renewals in which a store panicked.",
		}),
		cacheRequests: cacheRequests{
			hit: requests.WithLabelValues("hit"), shared: requests.WithLabelValues("shared"),
			miss: requests.WithLabelValues("miss"), stale: requests.WithLabelValues("stale"),
		},
		evictions: evictions{
			volume: evicted.WithLabelValues("volume"), shared: evicted.WithLabelValues("value"), own: evicted.WithLabelValues("leased"),
		},
		renewals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lanyard_lease_renewals_total",
			Help: "Lease renewals by result: ok, unavailable (tried again), refused (replaced at the next poll).",
		}, []string{"result"}),
		age: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "lanyard_value_age_seconds",
			Help:    "Age of the oldest value in each answered mount.",
			Buckets: []float64{1, 15, 60, 120, 300, 600, 1800, 3600, 14400, 86400},
		}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lanyard_store_calls_total",
			Help: "Remote calls to stores, logins and renewals included, by type of store and HTTP status (0: no answer).",
		}, []string{"store", "status"}),
		callSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "lanyard_store_call_seconds",
			Help:    "Time of remote calls to stores until the answer began.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15),
		}, []string{"store"}),
	}
	registry.MustRegister(m.reads, m.readPanics, requests, evicted, remembered, m.renewals, m.age, m.calls, m.callSeconds)
	return m
}

// watch registers what is read from the cache when metrics are scraped.
func (m *metrics) watch(registry prometheus.Registerer, c *cache) {
	gauge := func(name, help string, value func() float64) {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	gauge("lanyard_cache_entries", "Values in the cache.", func() float64 { n, _, _ := c.usage(); return float64(n) })
	gauge("lanyard_leases", "Leases that are kept alive for pods.", func() float64 { _, n, _ := c.usage(); return float64(n) })
	gauge("lanyard_cache_bytes", "Memory that cached values and volumes take.", func() float64 { _, _, n := c.usage(); return float64(n) })
}

func (m *metrics) observeCall(storeType string, status int, took time.Duration) {
	m.calls.WithLabelValues(storeType, strconv.Itoa(status)).Inc()
	m.callSeconds.WithLabelValues(storeType).Observe(took.Seconds())
}

func (m *metrics) read(storeType string, err error) {
	result := "ok"
	if err != nil {
		result = fault.Of(err).Word
	}
	m.reads.WithLabelValues(storeType, result).Inc()
}
