package engine

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/fault"
)

// metrics are the engine's. No label holds anything that a class can choose:
// stores appear by the operator's names, outcomes by their kind.
type metrics struct {
	outages       *outages
	stores        *storeCalls
	reads         *prometheus.CounterVec
	failovers     *prometheus.CounterVec
	readPanics    prometheus.Counter
	unknownStores prometheus.Counter
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
		stores:     newStoreCalls(),
		remembered: remembrances{plan: remembered.WithLabelValues("plan"), volume: remembered.WithLabelValues("volume")},
		reads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lanyard_store_reads_total",
			Help: "Values read from stores, by the operator's name of the store (class-defined for those of classes), its type, and result.",
		}, []string{"store", "type", "result"}),
		failovers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lanyard_failover_checks_total",
			Help: "Looks at the failover regions for values that were read in the first region, by the operator's name of the store (class-defined for those of classes) and result.",
		}, []string{"store", "result"}),
		readPanics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "lanyard_store_panics_total",
			Help: "Reads and renewals in which a store panicked.",
		}),
		unknownStores: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "lanyard_unknown_store_mounts_total",
			Help: "Mounts that failed because the class names a store that neither it nor the configuration defines; the log names the class.",
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
			Help: "Remote calls to stores, logins and renewals included, by the operator's name of the store (class-defined for those of classes, shared for logins that several may share), its type, and HTTP status (0: no answer).",
		}, []string{"store", "type", "status"}),
		callSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "lanyard_store_call_seconds",
			Help:    "Time of remote calls to stores until the answer began.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15),
		}, []string{"store", "type"}),
	}
	registry.MustRegister(m.reads, m.failovers, m.readPanics, m.unknownStores, requests, evicted, remembered, m.renewals, m.age, m.calls, m.callSeconds)
	return m
}

// watch registers what is read from the cache when metrics are scraped.
func (m *metrics) watch(registry prometheus.Registerer, c *cache) {
	gauge := func(name, help string, value func() float64) {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	gauge("lanyard_cache_entries", "Values in the cache.", func() float64 { n, _, _ := c.usage(); return float64(n) })
	gauge("lanyard_leases", "Leases that are kept alive for pods.", func() float64 { _, n, _ := c.usage(); return float64(n) })
	gauge("lanyard_leases_ending", "Leases of running pods that end soon and were neither renewed nor replaced.", func() float64 { return float64(c.endingLeases()) })
	gauge("lanyard_cache_bytes", "Memory that cached values and volumes take.", func() float64 { _, _, n := c.usage(); return float64(n) })
}

// sharedCalls stands in metrics for the store of a call that is made for several.
const sharedCalls = "shared"

func (m *metrics) observeCall(ctx context.Context, storeType string, status int, took time.Duration) {
	store := cmp.Or(remote.StoreOf(ctx), sharedCalls)
	m.calls.WithLabelValues(store, storeType, statusLabel(status)).Inc()
	m.callSeconds.WithLabelValues(store, storeType).Observe(took.Seconds())
	m.stores.called(store, took)
}

// statusLabel is the status if HTTP or Vault (472, 473) knows it, else its class: a
// server that a class chose may answer with any number.
func statusLabel(status int) string {
	switch {
	case status == 0, http.StatusText(status) != "", status == 472, status == 473:
		return strconv.Itoa(status)
	case status >= 100 && status < 600:
		return strconv.Itoa(status/100) + "xx"
	}
	return "other"
}

func (m *metrics) read(store, storeType string, err error) {
	m.reads.WithLabelValues(store, storeType, resultLabel(err)).Inc()
}

func (m *metrics) failover(store string, err error) {
	m.failovers.WithLabelValues(store, resultLabel(err)).Inc()
}

func resultLabel(err error) string {
	if err != nil {
		return fault.Of(err).Word
	}
	return "ok"
}

// keep forgets what is counted for stores that the configuration names no more.
func (m *metrics) keep(before, after *config.Config) {
	m.outages.Keep(func(name string) bool { return storeLabel(after, name) == name })
	m.stores.keep(func(name string) bool { return name == sharedCalls || storeLabel(after, name) == name })
	for name := range before.Stores {
		if _, stays := after.Stores[name]; stays {
			continue
		}
		gone := prometheus.Labels{"store": name}
		m.reads.DeletePartialMatch(gone)
		m.failovers.DeletePartialMatch(gone)
		m.calls.DeletePartialMatch(gone)
		m.callSeconds.DeletePartialMatch(gone)
	}
}
