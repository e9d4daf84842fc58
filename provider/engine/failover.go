package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/share"
	"github.com/lanyardhq/lanyard/provider/store"
)

// A source whose second place would give the value is looked at again after a day, and
// one that would not after a while. What is forgotten is looked at with its next read.
const (
	failoverGoodFor = 24 * time.Hour
	failoverBadFor  = 10 * time.Minute
	failoversKept   = 4096
)

// failovers know which sources were looked at in the second place that their store reads
// from in an outage, so that a missing one is told before.
type failovers struct {
	mu    sync.Mutex
	known *share.LRUs[cacheKey, *failoverState]
}

type failoverState struct {
	due     time.Time
	refused bool
}

func newFailovers() *failovers {
	return &failovers{known: share.NewLRUs[cacheKey, *failoverState](cacheKey.namespace, nil)}
}

// claim says whether the source is due, and then is not for a while, and what it was like
// when it was looked at last.
func (f *failovers) claim(key cacheKey, now time.Time) (was failoverState, due bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	state, ok := f.known.Get(key)
	if !ok {
		state = &failoverState{}
		f.known.Add(key, state)
		f.known.Shrink(failoversKept)
	}
	if was = *state; now.Before(was.due) {
		return was, false
	}
	state.due = now.Add(failoverBadFor)
	return was, true
}

func (f *failovers) set(key cacheKey, state failoverState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if known, ok := f.known.Peek(key); ok {
		*known = state
	}
}

// checkFailovers looks whether what was just read could be read in an outage too. It
// fails nothing. The time of the read bounds it.
func (c *cache) checkFailovers(ctx context.Context, a scope, batch []fetch, results []store.Result) {
	conn := batch[0].source.connection
	checker, ok := conn.store.(store.FailoverChecker)
	if !ok {
		return
	}
	for i, ft := range batch {
		if results[i].Err != nil || !checker.ChecksFailover(ft.source.ref) {
			continue
		}
		key := cacheKey{identity: a.key, source: ft.source.id}
		was, due := c.failovers.claim(key, c.now())
		if !due {
			continue
		}
		err := c.checkFailover(ctx, a, checker, ft.source)
		c.noteRead(a, ft.source, store.Result{Err: err})
		if ctx.Err() != nil || errors.Is(err, fault.ErrUnavailable) || errors.Is(err, fault.ErrInternal) || errors.Is(err, identity.ErrNoToken) {
			return // nothing is known, of the rest neither
		}
		label := storeLabel(a.config, ft.source.label)
		c.metrics.failover(label, err)
		if err == nil {
			c.failovers.set(key, failoverState{due: c.now().Add(failoverGoodFor)})
		} else {
			c.failovers.set(key, failoverState{due: c.now().Add(failoverBadFor), refused: true})
		}
		switch {
		case err != nil && !was.refused:
			klog.ErrorS(nil, "A value could not be read in an outage: the failover region refuses it or lacks it", "store", label, "namespace", message.Printable(a.as.Namespace), "serviceAccount", message.Printable(a.as.ServiceAccount), "cause", message.Excerpt(err.Error()))
		case err == nil && was.refused:
			klog.InfoS("A value can be read in an outage again", "store", label, "namespace", message.Printable(a.as.Namespace), "serviceAccount", message.Printable(a.as.ServiceAccount), "key", message.Excerpt(ft.source.ref.Key))
		}
	}
}

// checkFailover looks at one source. A store that panics fails nothing else.
func (c *cache) checkFailover(ctx context.Context, a scope, checker store.FailoverChecker, s *source) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = c.panicked(s.connection, r)
		}
	}()
	return checker.CheckFailover(ctx, a.as, s.ref)
}
