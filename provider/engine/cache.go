package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
	"unique"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/lanyardhq/lanyard/provider/audit"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/share"
	"github.com/lanyardhq/lanyard/provider/store"
)

// cacheKey identifies a cached value. Two pods share an entry only if every part is
// equal.
type cacheKey struct {
	identity identityHandle
	// pod is set for values with a lease, which belong to one pod, and empty for
	// values that all pods of the service account share.
	pod string
	// source is the digest of the store's connection (type and all settings) and
	// the reference.
	source [sha256.Size]byte
}

func (k cacheKey) namespace() string { return k.identity.Value().Namespace }

// identityHandle is the identity that a value is for. Handles are compared and hashed as a
// pointer is, which a mount does for each of its objects.
type identityHandle = unique.Handle[identity.Key]

// held is a value as it was read, or the fact that the store has none. It is
// immutable except for users once an entry has it: a pointer may be used without the lock, and equal
// pointers mean an unchanged value, however often it was read since.
type held struct {
	value   store.Value
	missing error  // wraps fault.ErrNotFound; value is then empty
	users   int    // entries and volumes that refer to it; guarded by cache.mu
	number  uint64 // which value it is, to tell without the value; zero until an entry had it
}

// same says that both are one value, which a pod may keep on using.
func (h *held) same(other *held) bool {
	v, o := &h.value, &other.value
	if h.missing != nil || other.missing != nil {
		return h.missing != nil && other.missing != nil && h.missing.Error() == other.missing.Error()
	}
	return !h.issued() && !other.issued() && v.Order == o.Order && v.Made.Equal(o.Made) &&
		v.NotAfter.Equal(o.NotAfter) && v.ChangesAt.Equal(o.ChangesAt) && bytes.Equal(v.Data.Reveal(), o.Data.Reveal())
}

// reading is one read and what it found. It is immutable.
type reading struct {
	held  *held
	at    time.Time // the read began
	epoch uint64    // cache.epoch then
	mount uint64    // the mount that read, as scope has it
}

// tooOld says that the read began too long ago for the scope, though the value is
// within its refresh interval. For values that another read could not change, or would
// make anew, no read is.
func (r *reading) tooOld(a scope, s *source) bool {
	return r.at.Before(a.notBefore) && !s.steady && (r.held == nil || !r.held.issued())
}

// issued says that another read makes another value.
func (h *held) issued() bool { return h.value.Issued || h.value.Lease != nil }

// over says that the value's own end (NotAfter) has passed.
func (h *held) over(now time.Time) bool {
	return !h.value.NotAfter.IsZero() && now.After(h.value.NotAfter)
}

// entry is one place in the cache. All fields are guarded by cache.mu.
type entry struct {
	key     cacheKey
	held    *held    // nil until something was read, and after the store refused it
	reading *reading // the last that found held
	// perPod marks the shared entry of a value that turned out to have a
	// lease: each pod has an entry of its own, and this one holds nothing.
	perPod    bool
	lease     *lease
	lastUsed  time.Time
	refresh   time.Duration // the interval of the source that read it
	stretch   float64       // factor of the refresh interval, from 0.9 to 1
	retry     time.Time     // after a failure: no read before this time
	suspected time.Time     // when it was last read again because no volume could be made of it
	behind    behind
	flight    *flight
}

// flight is one read in progress (single flight), shared by all mounts that wait
// for it.
type flight struct {
	done chan struct{}
	// Set before done is closed.
	reading *reading // with held nil where err is set
	err     error
	perPod  bool // the value has a lease and belongs to pod alone
	full    bool // not read, because its mount holds more than maxGathered

	pod     string
	waiters int // guarded by cache.mu
}

// cache holds values and the volumes made of them. Identities never share a value,
// each key has at most one read in flight, a fresh value costs no call, and a stale
// one is served while its store is down, for as long as cache.staleOnError allows.
type cache struct {
	now     func() time.Time
	metrics *metrics
	audit   *audit.Log
	conns   *connections
	// lifetime cancels all reads and renewals when the engine closes; work counts
	// them.
	lifetime context.Context
	end      context.CancelFunc
	work     sync.WaitGroup
	shares   *shares

	failovers *failovers

	mu      sync.Mutex
	entries *share.LRUs[cacheKey, *entry] // that pods share
	owned   *share.LRUs[cacheKey, *entry] // of one pod each
	volumes *share.LRUs[volumeKey, *builtVolume]
	failed  *simplelru.LRU[volumeKey, *failedBuild]
	leases  map[*entry]struct{}
	bytes   int64
	taken   map[string]int64 // bytes by namespace
	closed  bool
	// epoch counts the calls of refresh: what was read in an earlier one is due.
	epoch uint64
	// numbers counts the values that entries have had.
	numbers uint64
}

func newCache(now func() time.Time, conns *connections, shares *shares, m *metrics, log *audit.Log) *cache {
	c := &cache{now: now, metrics: m, audit: log, conns: conns, shares: shares, failovers: newFailovers(), leases: map[*entry]struct{}{}, taken: map[string]int64{}}
	c.lifetime, c.end = context.WithCancel(context.Background())
	forget := func(key cacheKey, e *entry) {
		c.count(key.namespace(), -entryOverhead)
		c.drop(key.namespace(), e.held)
		c.endLease(e)
	}
	c.entries, c.owned = share.NewLRUs(cacheKey.namespace, forget), share.NewLRUs(cacheKey.namespace, forget)
	c.volumes = share.NewLRUs(volumeKey.namespace, func(key volumeKey, v *builtVolume) {
		c.count(key.namespace(), -v.cost)
		for _, h := range v.made {
			c.drop(key.namespace(), h)
		}
	})
	c.failed = newLRU[volumeKey, *failedBuild](failedBuildsKept, nil)
	return c
}

// newLRU returns an LRU of at most that many entries. Where the bound is bytes, the
// owner counts them and removes the oldest.
func newLRU[K comparable, V any](entries int, onEvict func(K, V)) *simplelru.LRU[K, V] {
	lru, err := simplelru.NewLRU(entries, onEvict)
	if err != nil {
		panic(err) // the size is a constant above zero, which is all that is asked
	}
	return lru
}

// entry finds or makes the entry for a source: the pod's own if the value is known
// to have a lease, else the shared one. The pod's own comes first, since the shared
// entry with the perPod mark may have been evicted.
func (c *cache) entry(a scope, s *source, now time.Time) *entry {
	key := cacheKey{identity: a.key, source: s.id}
	if c.owned.Len() > 0 {
		own := key
		own.pod = a.pod()
		if e, ok := c.owned.Get(own); ok {
			e.lastUsed = now
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
	lru := c.lruFor(key)
	e, ok := lru.GetOf(key.namespace(), key)
	if !ok {
		e = &entry{key: key}
		lru.Add(key, e)
		c.count(key.namespace(), entryOverhead)
	}
	e.lastUsed = now
	return e
}

// lruFor is the LRU that keeps the entry of a key.
func (c *cache) lruFor(key cacheKey) *share.LRUs[cacheKey, *entry] {
	if key.pod != "" {
		return c.owned
	}
	return c.entries
}

// entryOverhead is about what an entry takes in memory beside its value.
const entryOverhead = 768

// fresh says whether the entry's value can be served without a call.
func (c *cache) fresh(a scope, e *entry, s *source, now time.Time) bool {
	switch {
	case e.held == nil || e.held.over(now):
		return false
	case e.held.missing != nil && !s.optional:
		return false
	case e.lease != nil:
		// A poll must not have a new credential issued, unless the object sets a
		// refresh interval of its own.
		return !e.lease.mustReplace(now) && (s.ownRefresh == 0 || e.age(now) < s.ownRefresh)
	case e.changed(now):
		return false
	case e.reading.epoch != c.epoch && !e.held.value.Issued:
		return false
	case e.reading.tooOld(a, s):
		return false
	default:
		return e.age(now) < time.Duration(float64(s.refresh)*e.stretch)
	}
}

// outlook says when the values of the sources are to be read again.
func (c *cache) outlook(a scope, sources []*source) Outlook {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	o := Outlook{Due: now.Add(a.config.Cache.Idle)}
	a.notBefore = time.Time{} // the volume has started
	for _, s := range sources {
		e := c.entry(a, s, now)
		due := e.retry
		switch {
		case e.held == nil:
			due = now // evicted
		case c.fresh(a, e, s, now):
			due = e.due(s)
		default:
			o.Stale++
		}
		if due.Before(o.Due) {
			o.Due = due
		}
	}
	return o
}

// due is when the value, which is fresh, is to be read again.
func (e *entry) due(s *source) time.Time {
	if e.lease != nil {
		due := e.lease.Expires.Add(-e.lease.margin())
		if own := e.reading.at.Add(s.ownRefresh); s.ownRefresh > 0 && own.Before(due) {
			due = own
		}
		return due
	}
	due := e.reading.at.Add(time.Duration(float64(s.refresh) * e.stretch))
	if at := e.held.value.NotAfter; !at.IsZero() && at.Before(due) {
		due = at
	}
	if at := e.held.value.ChangesAt; !at.IsZero() && at.Before(due) {
		due = at
		if soonest := e.reading.at.Add(minRefresh); due.Before(soonest) {
			due = soonest
		}
	}
	return due
}

// minRefresh is the least time between two reads of a value that says when it will
// change, or of which no volume can be made.
const minRefresh = time.Second

// changed says that the time has come at which the store replaces the value.
func (e *entry) changed(now time.Time) bool {
	at := e.held.value.ChangesAt
	return !at.IsZero() && !now.Before(at) && e.age(now) >= minRefresh
}

// age is the time since the value was read. After the clock was set back it is the
// maximum, so that the value is read again rather than kept for ever.
func (e *entry) age(now time.Time) time.Duration {
	if age := now.Sub(e.reading.at); age >= 0 {
		return age
	}
	return math.MaxInt64
}

// standsIn says whether the entry's stale value may be served because its store is
// unavailable (stale-if-error).
func (e *entry) standsIn(s *source, config *config.Config, now time.Time) bool {
	switch {
	case e.held == nil || e.held.over(now) || (e.held.missing != nil && !s.optional):
		return false
	case e.lease != nil:
		return e.lease.works(now)
	default:
		overdue := e.age(now) - time.Duration(float64(s.refresh)*e.stretch)
		return overdue < config.Cache.StaleOnError
	}
}

// mayStandIn is standsIn without a source, for sweep. A value with a lease does not
// count: its pod is gone if it has not polled for the idle time.
func (e *entry) mayStandIn(stale time.Duration, now time.Time) bool {
	return e.held != nil && !e.held.over(now) && e.lease == nil &&
		e.age(now)-time.Duration(float64(e.refresh)*e.stretch) < stale
}

// stretch is the jitter of refreshes: a factor from 0.9 to 1, so that what many
// calls read at one time is not refreshed at one time, and no value gets older than
// its interval.
func stretch() float64 { return 1 - rand.Float64()/10 }

// usage is what the cache holds now, for the metrics.
func (c *cache) usage() (entries, leases int, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.entries.Len() + c.owned.Len(), len(c.leases), c.bytes
}

// endingLeases is how many leases of pods that still poll end soon: the poll that should
// have replaced them did not.
func (c *cache) endingLeases() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	count, now := 0, c.now()
	for e := range c.leases {
		if now.Sub(e.lastUsed) < pollAllowance && e.lease.endsSoon(now) {
			count++
		}
	}
	return count
}

// sweep removes what no pod has used for the idle time, except values that may
// still be served stale: a pod may start while the store is down, and without
// rotation the driver does not poll before that.
func (c *cache) sweep(idle, stale time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	for _, e := range slices.Concat(c.entries.Values(), c.owned.Values()) {
		if e.flight == nil && now.Sub(e.lastUsed) >= idle && !e.mayStandIn(stale, now) {
			c.lruFor(e.key).Remove(e.key)
		}
	}
	for _, key := range c.volumes.Keys() {
		if v, ok := c.volumes.Peek(key); ok && now.Sub(v.lastUsed) >= idle {
			c.volumes.Remove(key)
		}
	}
}

// refresh makes every value due that may be read again at no cost for its pod, as
// if its refresh interval were over: it may still stand in for a store that is
// unavailable. Values with a lease stay, since a new one is a new credential.
func (c *cache) refresh() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	for _, e := range slices.Concat(c.entries.Values(), c.owned.Values()) {
		e.retry = time.Time{}
	}
	for _, key := range c.volumes.Keys() {
		if key.pod == "" {
			c.volumes.Remove(key)
		}
	}
}

// close cancels reads and renewals, waits for them and empties the cache.
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
	c.failed.Purge()
}
