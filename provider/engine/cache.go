package engine

import (
	"context"
	"crypto/sha256"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/semaphore"

	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
)

// cacheKey is all that separates one cached value from another. Two pods reach
// one entry only if every part is equal.
type cacheKey struct {
	identity identity.Key
	// pod is the pod's own part: set for values with a lease, which belong to
	// one pod, and empty for values that the service account's pods share.
	pod string
	// source is the digest of the store's whole connection and the reference.
	source [sha256.Size]byte
}

// held is a value as it was read, or the store's word that there is none. But
// for users it never changes: who has a pointer may use it without a lock, and
// an equal pointer means an unchanged value.
type held struct {
	value   store.Value
	version string
	read    time.Time
	missing error // wraps fault.ErrNotFound; value is then empty
	users   int   // entries and volumes that hold it; guarded by cache.mu
}

// over says that the value may not be served any more.
func (h *held) over(now time.Time) bool {
	return !h.value.NotAfter.IsZero() && now.After(h.value.NotAfter)
}

// entry is one place in the cache. All fields are guarded by cache.mu.
type entry struct {
	key  cacheKey
	held *held // nil until something was read, and after the store refused it
	// perPod marks the shared entry of a value that turned out to have a
	// lease: each pod has an entry of its own, and this one holds nothing.
	perPod  bool
	lease   *lease
	asked   time.Time
	refresh time.Duration // of who read it
	stretch float64       // what its refresh interval is multiplied by
	retry   time.Time     // after a failure: when to ask the store again
	doubted bool          // a volume could not be made of what is held
	flight  *flight
}

// flight is one read in progress, shared by all who wait for it.
type flight struct {
	done chan struct{}
	// Set before done is closed.
	held   *held
	err    error
	perPod bool // the value has a lease and belongs to pod alone
	full   bool // not read, because who began it brings together too much

	pod     string
	waiters int // guarded by cache.mu
}

// cache holds values and the volumes made of them. See the package's design
// rules: identities never share, one read is in flight for each key, a value
// that is young enough costs no call, and a store that is down takes nothing
// away for as long as the operator allows.
type cache struct {
	now     func() time.Time
	metrics *metrics
	conns   *connections
	// lifetime ends every read and renewal when the engine closes; work counts
	// them.
	lifetime context.Context
	end      context.CancelFunc
	work     sync.WaitGroup
	// builds are the volumes that are being made: as many as there are
	// processors, since a class may ask for as much work as its bounds allow.
	builds *semaphore.Weighted

	mu      sync.Mutex
	entries *simplelru.LRU[cacheKey, *entry] // that pods share
	owned   *simplelru.LRU[cacheKey, *entry] // of one pod each
	volumes *simplelru.LRU[volumeKey, *builtVolume]
	leases  map[*entry]struct{}
	bytes   int64
	closed  bool
}

func newCache(now func() time.Time, conns *connections, m *metrics) *cache {
	c := &cache{now: now, metrics: m, conns: conns, leases: map[*entry]struct{}{}, builds: semaphore.NewWeighted(int64(runtime.GOMAXPROCS(0)))}
	c.lifetime, c.end = context.WithCancel(context.Background())
	forget := func(_ cacheKey, e *entry) {
		c.bytes -= entryOverhead
		c.drop(e.held)
		c.endLease(e)
	}
	c.entries, c.owned = newLRU(math.MaxInt, forget), newLRU(math.MaxInt, forget)
	c.volumes = newLRU(math.MaxInt, func(_ volumeKey, v *builtVolume) {
		c.bytes -= v.cost
		for _, h := range v.made {
			c.drop(h)
		}
	})
	return c
}

// newLRU keeps at most so many entries, in the order of their use. Where the
// bound is bytes, the owner counts them and removes the oldest.
func newLRU[K comparable, V any](entries int, onEvict func(K, V)) *simplelru.LRU[K, V] {
	lru, err := simplelru.NewLRU(entries, onEvict)
	if err != nil {
		panic(err) // the size is a constant above zero, which is all that is asked
	}
	return lru
}

// entry finds or makes the entry for a source: the pod's own if the value is
// known to have a lease, else the shared one. The pod's own is looked for first,
// since the mark that there are such may have been evicted.
func (c *cache) entry(a scope, s *source, now time.Time) *entry {
	key := cacheKey{identity: a.key, source: s.id}
	if c.owned.Len() > 0 {
		own := key
		own.pod = a.pod()
		if e, ok := c.owned.Get(own); ok {
			e.asked = now
			return e
		}
	}
	e := c.place(key, now)
	if e.perPod {
		key.pod = a.pod()
		e = c.place(key, now)
	}
	return e
}

func (c *cache) place(key cacheKey, now time.Time) *entry {
	among := c.lruFor(key)
	e, ok := among.Get(key)
	if !ok {
		e = &entry{key: key}
		among.Add(key, e)
		c.bytes += entryOverhead
	}
	e.asked = now
	return e
}

// among is where the entry of a key is kept.
func (c *cache) lruFor(key cacheKey) *simplelru.LRU[cacheKey, *entry] {
	if key.pod != "" {
		return c.owned
	}
	return c.entries
}

// entryOverhead is about what an entry takes in memory beside its value.
const entryOverhead = 768

// keep counts one more that holds the value: its entry, or a volume that was
// made of it and may outlast it there. The value's bytes count once.
func (c *cache) keep(h *held) {
	if h.users++; h.users == 1 {
		c.bytes += int64(h.value.Data.Len())
	}
}

// drop undoes keep; h may be nil.
func (c *cache) drop(h *held) {
	if h == nil {
		return
	}
	if h.users--; h.users == 0 {
		c.bytes -= int64(h.value.Data.Len())
	}
}

// shrink drops the least recently used until the cache is within its bound.
// Volumes go first, since they can be made again without a call, and pods' own
// values last: with them goes a lease, and the next poll would have a credential
// issued anew, while the one before lives on at the store.
func (c *cache) shrink(bound int64) {
	for c.bytes > bound && c.volumes.Len() > 0 {
		c.volumes.RemoveOldest()
		c.metrics.evictions.volume.Inc()
	}
	for c.bytes > bound && c.entries.Len() > 0 {
		c.entries.RemoveOldest()
		c.metrics.evictions.shared.Inc()
	}
	for c.bytes > bound && c.owned.Len() > 0 {
		c.owned.RemoveOldest()
		c.metrics.evictions.own.Inc()
	}
}

// fresh says whether the entry answers for s without a call.
func (e *entry) fresh(s *source, now time.Time) bool {
	switch {
	case e.held == nil || e.held.over(now):
		return false
	case e.held.missing != nil && !s.optional:
		return false
	case e.lease != nil:
		// A poll must not issue a credential anew: only the object itself
		// may ask for that, by a refresh interval of its own.
		return !e.lease.mustReplace(now) && (s.ownRefresh == 0 || e.age(now) < s.ownRefresh)
	case e.doubted && e.age(now) >= doubtedFor:
		return false
	default:
		return e.age(now) < time.Duration(float64(s.refresh)*e.stretch)
	}
}

// doubtedFor is how long a value is kept that a volume could not be made of.
// Whoever mends the secret waits for its pod; the kubelet, which tries again at
// ever longer intervals, bounds how often the store is asked.
const doubtedFor = 5 * time.Second

// doubt marks the values without which a volume could have been made, or all if
// it is not known which: they may have been mended at the store.
func (c *cache) markSuspect(a scope, p *plan, answers []answer, failures []failure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, s := range p.sources {
		if !slices.ContainsFunc(failures, func(f failure) bool { return f.source == s || f.source == nil }) {
			continue
		}
		// A pod's own, which has a lease, is never issued anew for this.
		if e, ok := c.entries.Peek(cacheKey{identity: a.key, source: s.id}); ok && e.held == answers[i].held {
			e.doubted = true
		}
	}
}

// age is how long ago the value was read. A clock that was set back makes it
// old, so that the value is read again rather than kept for ever.
func (e *entry) age(now time.Time) time.Duration {
	if age := now.Sub(e.held.read); age >= 0 {
		return age
	}
	return math.MaxInt64
}

// standsIn says whether the entry's value may be served though it should have
// been read again and could not be.
func (e *entry) standsIn(s *source, config *config.Config, now time.Time) bool {
	switch {
	case e.held == nil || e.held.over(now) || (e.held.missing != nil && !s.optional):
		return false
	case e.lease != nil:
		return e.lease.works(now)
	default:
		late := e.age(now) - time.Duration(float64(s.refresh)*e.stretch)
		return late < config.Cache.StaleOnError
	}
}

// mayStandIn says whether the entry's value could be served if its store were not
// there, as far as that can be told without a source. A value with a lease is its
// pod's alone, which is gone when it does not ask for so long.
func (e *entry) mayStandIn(stale time.Duration, now time.Time) bool {
	return e.held != nil && !e.held.over(now) && e.lease == nil &&
		e.age(now)-time.Duration(float64(e.refresh)*e.stretch) < stale
}

func (e *entry) answer() answer { return answer{held: e.held} }

// stretch spreads the refreshes of what was read at one time by many calls over
// a tenth of their interval. It never shortens: a value younger than its
// interval is not read.
func stretch() float64 { return 1 + rand.Float64()/10 }

// usage is what the cache holds now, for the metrics.
func (c *cache) usage() (entries, leases int, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.entries.Len() + c.owned.Len(), len(c.leases), c.bytes
}

// sweep forgets what no pod has asked for during the idle time, but for values
// that may still stand in: a pod may come that starts while the store is down,
// and where the driver does not poll none asks before.
func (c *cache) sweep(idle, stale time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	for _, e := range slices.Concat(c.entries.Values(), c.owned.Values()) {
		if e.flight == nil && now.Sub(e.asked) >= idle && !e.mayStandIn(stale, now) {
			c.lruFor(e.key).Remove(e.key)
		}
	}
	for _, key := range c.volumes.Keys() {
		if v, ok := c.volumes.Peek(key); ok && now.Sub(v.asked) >= idle {
			c.volumes.Remove(key)
		}
	}
}

// close ends reads and renewals, waits for them and forgets everything.
func (c *cache) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.end()
	c.work.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries.Purge()
	c.owned.Purge()
	c.volumes.Purge()
}
