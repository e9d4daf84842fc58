package provider

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"time"

	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
)

// After a read that failed while an older value stands in, the store is asked
// again no sooner than this, so that a node's polls do not hammer a store that
// is down.
const (
	retryAfterLeast = 5 * time.Second
	retryAfterMost  = 15 * time.Second
)

// claim is a read that this mount has taken on.
type claim struct {
	entry  *entry
	flight *flight
	source *source
}

// read starts the claimed reads, as many at a time as calls may be in flight,
// and returns at once. The reads do not end with the mount that started them,
// since others may wait for them and the next poll wants their values; each is
// bounded by the read timeout. gathered is how many bytes the mount has already;
// when they are too many, what was not begun is read only if others wait for it.
func (c *cache) read(ctx context.Context, a ask, claimed []claim, gathered int64) {
	if len(claimed) == 0 {
		return
	}
	detached := context.WithoutCancel(ctx)
	next, total, most := new(atomic.Int64), new(atomic.Int64), mostGathered(a.config)
	total.Store(gathered)
	for range min(len(claimed), a.config.Bounds.StoreCalls) {
		c.work.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(claimed) {
					return
				}
				total.Add(c.readOne(detached, a, claimed[i], total.Load() > most))
			}
		})
	}
}

// readOne returns the bytes of the value. full says that the mount has too many.
func (c *cache) readOne(ctx context.Context, a ask, cl claim, full bool) int64 {
	defer c.conns.release(cl.source.connection)
	if c.abandoned(cl, full, a.config) {
		return 0
	}
	ctx, cancel := context.WithTimeout(ctx, a.config.Bounds.ReadTimeout)
	defer cancel()
	defer context.AfterFunc(c.lifetime, cancel)()
	started := c.now()
	value, err := c.readStore(ctx, a, cl.source)
	c.metrics.read(cl.source.connection.typeName, err)

	h := &held{value: value, version: value.Version, read: started}
	switch {
	case errors.Is(err, store.ErrNotFound):
		h = &held{missing: err, read: started}
	case err != nil:
		h = nil
	case h.version == "":
		h.version = a.keyed.version(cl.source.id[:], value.Data.Reveal())
	}
	c.land(a, cl, h, err)
	return int64(value.Data.Len())
}

// abandoned ends a flight before it has begun if nobody waits for it any more,
// or nobody but a mount that has brought together too much.
func (c *cache) abandoned(cl claim, full bool, config *Config) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := cl.flight
	switch {
	case f.waiters == 0:
		f.err = fmt.Errorf("%w: the mount that asked has ended", store.ErrUnavailable)
	case f.waiters == 1 && full:
		f.full = true
		f.err = fmt.Errorf("%w: the secrets that the class reads hold over %d bytes together: divide the class into several, each in a volume of its own", ErrTooLarge, mostGathered(config))
	default:
		return false
	}
	cl.entry.flight = nil
	close(f.done)
	return true
}

// readStore reads one value. A store that panics fails this read alone.
func (c *cache) readStore(ctx context.Context, a ask, s *source) (value store.Value, err error) {
	defer func() {
		if r := recover(); r != nil {
			value, err = store.Value{}, c.panicked(s.connection, r)
		}
	}()
	value, err = s.connection.store.Read(ctx, a.as, s.ref)
	switch {
	case err == nil:
		return value, nil
	case ctx.Err() != nil:
		return store.Value{}, fmt.Errorf("%w: no answer within %v", store.ErrUnavailable, a.config.Bounds.ReadTimeout)
	default:
		return store.Value{}, err
	}
}

// panicked counts and logs a store's panic, and returns what failed instead. The
// panic's own text may hold a value; its type and place do not.
func (c *cache) panicked(conn *connection, with any) error {
	c.metrics.readPanics.Inc()
	klog.ErrorS(nil, "A store panicked", "store", conn.typeName, "panic", fmt.Sprintf("%T", with), "stack", string(debug.Stack()))
	return fmt.Errorf("%w in the %s store; the provider's log has the place", ErrInternal, conn.typeName)
}

// land puts what was read where it belongs and wakes all who wait.
func (c *cache) land(a ask, cl claim, h *held, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	e, f := cl.entry, cl.flight
	e.flight = nil
	if h != nil && h.missing == nil && h.value.Lease != nil {
		f.perPod = true
		e = c.ownEntry(e, f.pod, now)
	}

	switch {
	case h != nil:
		c.hold(e, h, cl.source, now)
		f.held = h
	case errors.Is(err, store.ErrUnavailable):
		e.retry = now.Add(retryAfterLeast + rand.N(retryAfterMost-retryAfterLeast))
		f.err = err
	case errors.Is(err, identity.ErrNoToken):
		// The store was not asked. What is held is not this pod's alone.
		f.err = err
	default:
		// A refusal is an answer: what was held before must not outlive it.
		c.hold(e, nil, cl.source, now)
		f.err = err
	}
	c.shrink(int64(a.config.Cache.Bytes))
	close(f.done)
}

// ownEntry is the entry of the pod that the flight read for. The shared entry
// becomes a mark for the pods that come later.
func (c *cache) ownEntry(e *entry, pod string, now time.Time) *entry {
	if e.key.pod != "" {
		return e
	}
	e.perPod = true
	key := e.key
	key.pod = pod
	return c.place(key, now)
}

// hold makes h what the entry holds, unless the entry has been evicted.
func (c *cache) hold(e *entry, h *held, s *source, now time.Time) {
	if present, ok := c.entries.Peek(e.key); !ok || present != e {
		return
	}
	c.endLease(e)
	c.drop(e.held)
	e.held, e.retry, e.stretch = h, time.Time{}, stretch()
	if h == nil {
		return
	}
	c.keep(h)
	if h.value.Lease != nil {
		c.beginLease(e, h.value.Lease, s, now)
	}
}
