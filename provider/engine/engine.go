package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/audit"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/tracing"
)

// Options are what an Engine is made of.
type Options struct {
	// Config is the operator's configuration at the start.
	Config config.Config
	// Dialects are the syntaxes that requests may name.
	Dialects map[string]spec.Dialect
	// Types are the kinds of store.
	Types []store.Type
	// Calls limits the concurrent calls of Types; the engine sets the limit from
	// Config and counts the calls.
	Calls *remote.Calls
	// VersionKey returns the key in a Secret of the installation (cache.versionKeySecret),
	// or an error while it is not known; nil means a key of this process.
	VersionKey func(ctx context.Context, secret string) (secret.Bytes, error)
	// Metrics is where the engine's metrics are registered.
	Metrics prometheus.Registerer
	// MemoryTaken, if set, is told what mounts in flight take in bytes beside the
	// cache, each time it has changed by some MiB.
	MemoryTaken func(bytes int64)
	// Cluster says that requests are for objects of a whole cluster, and not for the pods
	// of a node: more classes are kept in memory.
	Cluster bool
	// Once says that the engine is for one mount, whose error tells what the log would
	// tell of stores that are down.
	Once bool
	// Audit has a record of each read, renewal and delivery; nil for none.
	Audit *audit.Log
	// Tracer has a span of each mount; nil for none.
	Tracer *tracing.Tracer
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Engine serves requests. It is safe for concurrent use.
type Engine struct {
	dialects map[string]spec.Dialect
	calls    *remote.Calls
	metrics  *metrics
	shares   *shares
	conns    *connections
	plans    *plans
	started  *started
	holdings *holdings
	cache    *cache
	audit    *audit.Log
	tracer   *tracing.Tracer
	now      func() time.Time
	keys     func(ctx context.Context, secret string) (secret.Bytes, error)
	mounts   atomic.Uint64 // counts the calls of Mount

	configuring sync.Mutex
	current     atomic.Pointer[rules]

	stop context.CancelFunc
	done chan struct{}
}

// rules are the operator's configuration and the limits made from it.
type rules struct {
	config     config.Config
	generation uint64
	keyed      versionKey
	installed  atomic.Pointer[versionKey] // that of cache.versionKeySecret, once it is known
}

// New returns an Engine that runs until Close. The error is a Problems if the
// configuration is wrong.
func New(opts Options) (*Engine, error) {
	now := opts.Now
	if now == nil {
		now = time.Now
	}
	m := newMetrics(opts.Metrics)
	shares := newShares(opts.Metrics, opts.MemoryTaken)
	opts.Calls.Observe, opts.Calls.Meter = m.observeCall, shares.metrics.Meter("calls")
	opts.Calls.Answers = remote.NewAnswers(shares.metrics.Meter("answers"))
	conns := newConnections(opts.Types, now, shares.closing)
	e := &Engine{
		dialects: opts.Dialects,
		calls:    opts.Calls,
		metrics:  m,
		shares:   shares,
		conns:    conns,
		plans:    newPlans(conns, now, shares, m.remembered.plan, opts.Cluster),
		started:  newStarted(now),
		holdings: newHoldings(now),
		cache:    newCache(now, conns, shares, m, opts.Audit),
		audit:    opts.Audit,
		tracer:   opts.Tracer,
		now:      now,
		keys:     opts.VersionKey,
		done:     make(chan struct{}),
	}
	opts.Calls.Logins = e.cache.noteLogin
	m.watch(opts.Metrics, e.cache)
	opts.Metrics.MustRegister(opts.Calls.Certificates)
	m.outages = newOutages(opts.Metrics, m.stores, now, opts.Once, func() time.Duration { return e.current.Load().config.Cache.StaleOnError })
	if err := e.Configure(opts.Config); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	e.stop = stop
	go e.maintain(ctx)
	return e, nil
}

// Configure applies config to all mounts that begin from now on; mounts in flight
// finish under the old one. Cached values stay, since their keys include the
// connection they were read over. If config is invalid, nothing changes and the
// error is a Problems.
func (e *Engine) Configure(config config.Config) error {
	e.configuring.Lock()
	defer e.configuring.Unlock()
	if problems := e.checkConfig(config); len(problems) > 0 {
		return problems
	}
	next := &rules{config: config, keyed: newVersionKey()}
	if previous := e.current.Load(); previous != nil {
		next.generation, next.keyed = previous.generation+1, previous.keyed
		defer func() { e.metrics.keep(&previous.config, &e.current.Load().config) }()
	}
	if file := config.Cache.VersionKeyFile; file != "" {
		keyed, err := readVersionKey(file)
		if err != nil {
			return spec.Problems{{Field: "cache.versionKeyFile", Text: err.Error()}}
		}
		next.keyed = keyed
	}
	e.calls.SetLimit(config.Bounds.StoreCalls)
	e.shares.configure(config.Bounds)
	e.current.Store(next)
	e.plans.drop()
	return nil
}

// Config is the configuration in force. It must not be changed.
func (e *Engine) Config() config.Config { return e.current.Load().config }

// Refresh has every value read again that the next mount of its pod asks for, as if
// its refresh interval were over. The values stand in while their store is
// unavailable, and values with a lease stay.
func (e *Engine) Refresh() { e.cache.refresh() }

// checkConfig returns the problems of a configuration.
func (e *Engine) checkConfig(config config.Config) spec.Problems {
	problems := config.Validate()
	for _, name := range slices.Sorted(maps.Keys(config.Stores)) {
		problems = append(problems, e.checkStore(config, name)...)
	}
	return problems
}

// checkStore checks one named store. Settings that classes may give may be missing
// here.
func (e *Engine) checkStore(config config.Config, name string) spec.Problems {
	field := "stores." + name
	var problems spec.Problems
	for i, pattern := range config.Stores[name].Allow {
		if _, err := path.Match(pattern, ""); err != nil || strings.Count(pattern, "/") != 1 {
			problems = append(problems, spec.Problem{Field: fmt.Sprintf("%s.allow[%d]", field, i), Text: `must be "namespace/service-account", either of which may be "*"`})
		}
	}
	problems = append(problems, config.Stores[name].CheckOpenings(field)...)
	r, unresolved := resolve(&config, e.conns.types, name, nil, nil, nil)
	if len(unresolved) > 0 {
		return append(problems, unresolved...)
	}
	for _, setting := range slices.Sorted(maps.Keys(r.override)) {
		if text := unknownSetting(r.Type, setting); text != "" {
			problems = append(problems, spec.Problem{Field: field + ".override." + setting, Text: text})
			continue
		}
		if !r.safe(setting) {
			problems = append(problems, spec.Problem{Field: field + ".override." + setting, Text: "is not allowed: this store reads with the node's own files or credentials, which a class must not redirect; remove it"})
		}
	}
	for i, setting := range config.Stores[name].Ignore {
		if text := unknownSetting(r.Type, setting); text != "" {
			problems = append(problems, spec.Problem{Field: fmt.Sprintf("%s.ignore[%d]", field, i), Text: text})
		}
	}
	if r.asNode && len(r.allow) == 0 {
		problems = append(problems, spec.Problem{Field: field + ".allow", Text: `missing: this store reads with the node's own files or credentials, so say whose pods may use it, such as ["prod/web"] or ["*/*"] for all`})
	}
	conn, err := e.conns.acquire("", r.Type, r.settings)
	if err != nil {
		return append(problems, slices.DeleteFunc(settingProblems(field, err), func(p spec.Problem) bool {
			setting := strings.TrimPrefix(p.Field, field+".")
			return r.leaves(setting) && !given(config.Stores[name].Fields, setting)
		})...)
	}
	e.conns.release(conn)
	return problems
}

// unknownSetting says that a store type has no setting of this dotted name, with the
// nearest that it has, or nothing. A type reports every name that it does not know when
// a store is opened.
func unknownSetting(of store.Type, setting string) string {
	var fields any = ""
	names := strings.Split(setting, ".")
	for _, name := range slices.Backward(names) {
		fields = map[string]any{name: fields}
	}
	opened, err := of.Open(store.Settings{Fields: fields.(map[string]any), ByOperator: true})
	if err == nil {
		opened.Close()
		return ""
	}
	for _, problem := range settingProblems("", err) {
		at := strings.TrimPrefix(problem.Field, ".")
		if strings.HasPrefix(problem.Text, "unknown field") && (setting == at || strings.HasPrefix(setting, at+".")) {
			return problem.Text
		}
	}
	return ""
}

// given says whether fields hold the setting of this dotted name.
func given(fields map[string]any, setting string) bool {
	name, rest, nested := strings.Cut(setting, ".")
	value, ok := fields[name]
	if !ok || !nested {
		return ok
	}
	below, _ := value.(map[string]any)
	return given(below, rest)
}

// Check checks a class without any remote call: its syntax, its objects and its
// stores' settings. The error is a Problems.
func (e *Engine) Check(dialect string, parameters map[string]string) error {
	p, err := e.plan(e.current.Load(), "", nil, dialect, parameters)
	if err != nil {
		return err
	}
	dropPlan(e.conns, p)
	return nil
}

// plan makes the plan of a class for a namespace.
func (e *Engine) plan(r *rules, namespace string, w *work, dialect string, parameters map[string]string) (*plan, error) {
	parse, ok := e.dialects[dialect]
	if !ok {
		return nil, spec.Problems{{Text: fmt.Sprintf("no such provider %s; Lanyard serves the providers %s", message.Printable(dialect), strings.Join(slices.Sorted(maps.Keys(e.dialects)), ", "))}}
	}
	class, err := parse(parameters)
	var problems spec.Problems
	if err != nil && (class == nil || !errors.As(err, &problems)) {
		return nil, err
	}
	p, found := newPlan(&r.config, e.conns, namespace, w, class)
	if err == nil && len(found) == 0 {
		p.idle = class.Idle
		return p, nil
	}
	if p != nil {
		dropPlan(e.conns, p)
	}
	if other := spec.Another(e.dialects, dialect, parameters, slices.Concat(problems, class.Idle)); other != nil {
		return nil, other
	}
	if slices.ContainsFunc(problems, func(p spec.Problem) bool { return p.Object == 0 }) {
		// What is wrong with a store may follow from what was not parsed; an object decides nothing of one.
		found = slices.DeleteFunc(found, func(p spec.Problem) bool {
			return p.Object == 0 && p.Store != "" || strings.HasPrefix(p.Field, "stores.")
		})
	}
	found = class.InDialect(found)
	if err != nil {
		found = problems.Add(found)
	}
	// What is missing may stand under a name that the dialect does not know.
	return nil, slices.Concat(found, class.Idle.Unknown())
}

// maintain renews leases and removes what pods no longer use, until ctx ends.
func (e *Engine) maintain(ctx context.Context) {
	defer close(e.done)
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for tick := 0; ; tick++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		config := &e.current.Load().config
		e.cache.renewDue(config)
		if tick%10 == 0 {
			e.cache.sweep(config.Cache.Idle, config.Cache.StaleOnError)
			e.plans.sweep(config.Cache.Idle)
			e.started.sweep(config.Cache.Idle)
			e.holdings.sweep(config.Cache.Idle)
			e.conns.sweep(config.Cache.Idle)
		}
	}
}

// Close waits for reads and renewals to end and drops all values. No Mount may be
// running or follow.
func (e *Engine) Close() {
	e.stop()
	<-e.done
	e.cache.close()
	e.plans.drop()
	e.conns.closeAll()
}
