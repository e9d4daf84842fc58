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

	"github.com/lanyardhq/lanyard/internal/span"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
)

// The backoff after a failed read whose stale value is served, picked at random
// between the two, so that a node's polls do not hammer a store that is down.
const (
	retryAfterMin = 5 * time.Second
	retryAfterMax = 15 * time.Second
)

// fetch is a read that this mount leads: it started the flight.
type fetch struct {
	entry  *entry
	flight *flight
	source *source
}

// read starts the fetches, at most bounds.storeCalls at a time, and returns at
// once. A fetch does not end with its mount, since other mounts may wait for it
// and the next poll wants its value; the read timeout bounds it. gathered is how
// many bytes the mount holds already. Above maxGathered, a fetch that has not
// begun is made only if another mount waits for it.
func (c *cache) read(ctx context.Context, a scope, fetches []fetch, gathered int64) {
	batches := c.batchesOf(a, fetches)
	if len(batches) == 0 {
		return
	}
	detached := context.WithoutCancel(ctx)
	for range batches {
		a.budget.retain()
	}
	next, total, limit := new(atomic.Int64), new(atomic.Int64), maxGathered(a.config)
	total.Store(gathered)
	for range min(len(batches), a.config.Bounds.StoreCalls) {
		c.work.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(batches) {
					return
				}
				turn, err := c.shares.reads.Acquire(c.lifetime, a.as.Namespace, 1)
				total.Add(c.readBatch(detached, a, batches[i], total.Load() > limit))
				a.budget.release()
				if err == nil { // else the engine closes, and the read ends at once
					turn.Release()
				}
			}
		})
	}
}

// readBatch reads a batch and returns the bytes of its values. full says that the
// mount holds more than maxGathered.
func (c *cache) readBatch(ctx context.Context, a scope, batch []fetch, full bool) (size int64) {
	defer func() {
		for _, ft := range batch {
			c.conns.release(ft.source.connection)
		}
	}()
	wanted := make([]fetch, 0, len(batch))
	for _, ft := range batch {
		if !c.abandoned(ft, full, a.config) {
			wanted = append(wanted, ft)
		}
	}
	if len(wanted) == 0 {
		return 0
	}
	ctx, cancel := context.WithTimeout(ctx, a.config.Bounds.ReadTimeout)
	defer cancel()
	defer context.AfterFunc(c.lifetime, cancel)()
	receiving := &receiving{budget: a.budget, stop: cancel}
	named := storeLabel(a.config, wanted[0].source.label)
	ctx, reading := span.Start(ctx, "read")
	beginRead(reading, named, wanted)
	ctx = remote.WithStore(remote.WithReserve(ctx, receiving.take), named)
	defer receiving.end()
	began := c.begin(a.mount)
	together := stretch()
	results := c.readStore(ctx, a, wanted)
	endSpan(reading, firstError(results))
	for i, result := range results {
		source := wanted[i].source
		label := storeLabel(a.config, source.label)
		c.metrics.read(label, source.connection.typeName, result.Err)
		c.noteRead(a, source, result)
		if c.lifetime.Err() == nil && !receiving.short.Load() {
			c.metrics.outages.note(label, began.at, result.Err)
		}
		h := &held{value: result.Value}
		switch {
		case errors.Is(result.Err, fault.ErrNotFound):
			h = &held{missing: result.Err}
		case result.Err != nil:
			h = nil
		}
		if receiving.short.Load() {
			// Another mount that waits reads it within its own budget.
			wanted[i].flight.full, h, result.Err = true, nil, errNoMemory
		}
		c.completeFlight(a, wanted[i], h, result.Err, began, together)
		size += int64(result.Value.Data.Len())
	}
	c.checkFailovers(ctx, a, wanted, results)
	return size
}

// begin is the reading that a mount begins now.
func (c *cache) begin(mount uint64) reading {
	c.mu.Lock()
	defer c.mu.Unlock()
	return reading{at: c.now(), epoch: c.epoch, mount: mount}
}

// receiving is what the answers of a batch take from the budget of the mount that reads
// it, until they have become values.
type receiving struct {
	budget *budget
	stop   context.CancelFunc
	taken  atomic.Int64
	short  atomic.Bool
}

// take stops the batch when the budget is used up.
func (r *receiving) take(bytes int64) error {
	r.taken.Add(bytes)
	err := r.budget.take(bytes)
	if err != nil {
		r.short.Store(true)
		r.stop()
	}
	return err
}

func (r *receiving) end() { r.budget.give(r.taken.Load()) }

// abandoned ends a flight that has not begun, if no mount waits for it any more,
// or only one that holds more than maxGathered.
func (c *cache) abandoned(ft fetch, full bool, config *config.Config) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := ft.flight
	f.reading = &reading{at: c.now()}
	switch {
	case f.waiters == 0:
		f.err = fmt.Errorf("%w: the mount that started the read has ended", fault.ErrUnavailable)
	case f.waiters == 1 && full:
		f.full = true
		f.err = fmt.Errorf("%w: the secrets that the class reads have more than %d bytes in total; split the class into several volumes", fault.ErrTooLarge, maxGathered(config))
	default:
		return false
	}
	ft.entry.flight = nil
	close(f.done)
	return true
}

// readStore reads the values of a batch. A store that panics fails this batch
// alone.
func (c *cache) readStore(ctx context.Context, a scope, batch []fetch) (results []store.Result) {
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
			results[i].Value = encodable(results[i].Value)
		case ctx.Err() != nil && !errors.Is(results[i].Err, remote.ErrNoSlot):
			results[i] = store.Result{Err: fmt.Errorf("%w: no answer within %v: %v", fault.ErrUnavailable, a.config.Bounds.ReadTimeout, results[i].Err)} //nolint:errorlint // of its kinds, this one holds
		default:
			results[i].Value = store.Value{}
		}
	}
	return results
}

// panicked counts and logs a panic of a store and returns it as an error. The
// panic's text is left out because it may hold a value.
func (c *cache) panicked(conn *connection, with any) error {
	c.metrics.readPanics.Inc()
	klog.ErrorS(nil, "A store panicked", "store", conn.typeName, "panic", fmt.Sprintf("%T", with), "stack", string(debug.Stack()))
	return fmt.Errorf("%w in the %s store; the provider's log has the place", fault.ErrInternal, conn.typeName)
}

// completeFlight stores the result of a read in the cache and wakes its waiters.
// The values of one batch share a stretch, so that they are refreshed together.
func (c *cache) completeFlight(a scope, ft fetch, h *held, err error, began reading, stretch float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	e, f := ft.entry, ft.flight
	e.flight, f.reading = nil, &began
	if h != nil && h.missing == nil && h.value.Lease != nil {
		f.perPod = true
		e = c.ownEntry(e, f.pod, now)
	}

	switch {
	case h != nil:
		began.held = h
		c.hold(e, &began, ft.source, now, stretch)
	case errors.Is(err, errNoMemory):
		f.err = err // the store has nothing to do with it
	case errors.Is(err, fault.ErrUnavailable):
		e.retry = now.Add(retryAfterMin + rand.N(retryAfterMax-retryAfterMin))
		f.err = err
	case errors.Is(err, identity.ErrNoToken):
		// The store was not read, and the pods of the identity share what is held.
		f.err = err
	default:
		// The store refused the read: the value held before must not be served on.
		c.hold(e, f.reading, ft.source, now, stretch)
		f.err = err
	}
	c.shrink(int64(a.config.Cache.Bytes))
	close(f.done)
}

// ownEntry is the entry of the pod that the flight read for. It marks the shared
// entry as perPod, so that later pods get entries of their own.
func (c *cache) ownEntry(e *entry, pod string, now time.Time) *entry {
	if e.key.pod != "" {
		return e
	}
	e.perPod = true
	key := e.key
	key.pod = pod
	return c.place(key, now)
}

// hold stores what was read in the entry, unless the entry has been evicted. Where
// what was held before is the same or newer, it becomes what was read.
func (c *cache) hold(e *entry, read *reading, s *source, now time.Time, stretch float64) {
	if present, ok := c.lruFor(e.key).Peek(e.key); !ok || present != e {
		return
	}
	switch h := read.held; {
	case h == nil:
		e.behind = behind{}
	case e.held != nil && (e.isBehind(h, s, now) || h.same(e.held)):
		read.held = e.held
	}
	c.endLease(e)
	if read.held != e.held {
		c.drop(e.key.namespace(), e.held)
		if read.held != nil {
			c.numbers++
			read.held.number = c.numbers
			c.keep(e.key.namespace(), read.held)
		}
	}
	e.held, e.reading, e.retry, e.refresh, e.stretch = read.held, read, time.Time{}, s.refresh, stretch
	if e.held != nil && e.held.value.Lease != nil {
		c.beginLease(e, e.held.value.Lease, s, now)
	}
}
