package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"time"

	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/fault"
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
func (c *cache) read(ctx context.Context, a scope, claimed []claim, gathered int64) {
	batches := c.batchesOf(a, claimed)
	if len(batches) == 0 {
		return
	}
	detached := context.WithoutCancel(ctx)
	next, total, most := new(atomic.Int64), new(atomic.Int64), mostGathered(a.config)
	total.Store(gathered)
	for range min(len(batches), a.config.Bounds.StoreCalls) {
		c.work.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(batches) {
					return
				}
				total.Add(c.readBatch(detached, a, batches[i], total.Load() > most))
			}
		})
	}
}

// readBatch returns the bytes of the values. full says that the mount has too
// many.
func (c *cache) readBatch(ctx context.Context, a scope, batch []claim, full bool) (size int64) {
	defer func() {
		for _, cl := range batch {
			c.conns.release(cl.source.connection)
		}
	}()
	wanted := make([]claim, 0, len(batch))
	for _, cl := range batch {
		if !c.abandoned(cl, full, a.config) {
			wanted = append(wanted, cl)
		}
	}
	if len(wanted) == 0 {
		return 0
	}
	ctx, cancel := context.WithTimeout(ctx, a.config.Bounds.ReadTimeout)
	defer cancel()
	defer context.AfterFunc(c.lifetime, cancel)()
	started := c.now()
	together := stretch()
	for i, result := range c.readStore(ctx, a, wanted) {
		source := wanted[i].source
		c.metrics.read(source.connection.typeName, result.Err)
		h := &held{value: result.Value, version: result.Value.Version, read: started}
		switch {
		case errors.Is(result.Err, fault.ErrNotFound):
			h = &held{missing: result.Err, read: started}
		case result.Err != nil:
			h = nil
		case h.version == "":
			h.version = a.keyed.version(source.id[:], result.Value.Data.Reveal())
		}
		c.completeFlight(a, wanted[i], h, result.Err, together)
		size += int64(result.Value.Data.Len())
	}
	return size
}

// abandoned ends a flight before it has begun if nobody waits for it any more,
// or nobody but a mount that has brought together too much.
func (c *cache) abandoned(cl claim, full bool, config *config.Config) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := cl.flight
	switch {
	case f.waiters == 0:
		f.err = fmt.Errorf("%w: the mount that asked has ended", fault.ErrUnavailable)
	case f.waiters == 1 && full:
		f.full = true
		f.err = fmt.Errorf("%w: the secrets that the class reads hold over %d bytes together: divide the class into several, each in a volume of its own", fault.ErrTooLarge, mostGathered(config))
	default:
		return false
	}
	cl.entry.flight = nil
	close(f.done)
	return true
}

// readStore reads the values of a batch. A store that panics fails this batch
// alone.
func (c *cache) readStore(ctx context.Context, a scope, batch []claim) (results []store.Result) {
	conn := batch[0].source.connection
	defer func() {
		if r := recover(); r != nil {
			results = failed(len(batch), c.panicked(conn, r))
		}
	}()
	if len(batch) == 1 {
		value, err := conn.store.Read(ctx, a.as, batch[0].source.ref)
		results = []store.Result{{Value: value, Err: err}}
	} else {
		results = readTogether(ctx, a, batch)
	}
	for i := range results {
		switch {
		case results[i].Err == nil:
		case ctx.Err() != nil && !errors.Is(results[i].Err, remote.ErrNoSlot):
			results[i] = store.Result{Err: fmt.Errorf("%w: no answer within %v", fault.ErrUnavailable, a.config.Bounds.ReadTimeout)}
		default:
			results[i].Value = store.Value{}
		}
	}
	return results
}

// panicked counts and logs a store's panic, and returns what failed instead. The
// panic's own text may hold a value; its type and place do not.
func (c *cache) panicked(conn *connection, with any) error {
	c.metrics.readPanics.Inc()
	klog.ErrorS(nil, "A store panicked", "store", conn.typeName, "panic", fmt.Sprintf("%T", with), "stack", string(debug.Stack()))
	return fmt.Errorf("%w in the %s store; the provider's log has the place", fault.ErrInternal, conn.typeName)
}

// land puts what was read where it belongs and wakes all who wait. What was read
// together has one stretch, so that it is read together again.
func (c *cache) completeFlight(a scope, cl claim, h *held, err error, stretch float64) {
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
		c.hold(e, h, cl.source, now, stretch)
		f.held = h
	case errors.Is(err, fault.ErrUnavailable):
		e.retry = now.Add(retryAfterLeast + rand.N(retryAfterMost-retryAfterLeast))
		f.err = err
	case errors.Is(err, identity.ErrNoToken):
		// The store was not asked. What is held is not this pod's alone.
		f.err = err
	default:
		// A refusal is an answer: what was held before must not outlive it.
		c.hold(e, nil, cl.source, now, stretch)
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
func (c *cache) hold(e *entry, h *held, s *source, now time.Time, stretch float64) {
	if present, ok := c.lruFor(e.key).Peek(e.key); !ok || present != e {
		return
	}
	c.endLease(e)
	c.drop(e.held)
	e.held, e.retry, e.refresh, e.stretch, e.doubted = h, time.Time{}, s.refresh, stretch, false
	if h == nil {
		return
	}
	c.keep(h)
	if h.value.Lease != nil {
		c.beginLease(e, h.value.Lease, s, now)
	}
}
