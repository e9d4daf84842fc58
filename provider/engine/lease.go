package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/provider/audit"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/share"
	"github.com/lanyardhq/lanyard/provider/store"
)

// pollAllowance is the time that a replacement must have to reach the pod: the
// driver polls about every 75 to 80 seconds, and one poll may fail.
const pollAllowance = 3 * time.Minute

// renewalsOfOne bounds the renewals in flight that a namespace has over one connection,
// so that a store that hangs leaves room for its other leases.
const renewalsOfOne = 8

// lease is how the engine keeps a value working for its pod. The provider is
// never told when a pod ends, so a lease is renewed only while its pod's polls
// come; after that it is left to run out. It is guarded by cache.mu.
type lease struct {
	store.Lease
	conn *connection
	// label is that of the source that it was issued from, and of is what its records say.
	label string
	of    audit.Record
	// granted is how long the value worked when it was issued: the measure of
	// whether what a renewal gives is still worth having.
	granted  time.Duration
	renewAt  time.Time
	renewing *share.Held // while it is being renewed
	dead     bool        // the store has ended it before its time
}

// margin is how long before its end a value is replaced: a third of its life,
// for short lives up to a half, so that the poll that brings the replacement
// comes while the old one still works.
func (l *lease) margin() time.Duration {
	return max(l.granted/3, min(l.granted/2, pollAllowance))
}

// mustReplace says that the next mount has to issue the value anew.
func (l *lease) mustReplace(now time.Time) bool {
	return l.dead || l.Expires.Sub(now) <= l.margin()
}

// endsSoon says that half of the margin is used up, and that neither a renewal nor a poll
// has given the pod a longer lease.
func (l *lease) endsSoon(now time.Time) bool { return l.Expires.Sub(now) <= l.margin()/2 }

func (l *lease) works(now time.Time) bool { return !l.dead && now.Before(l.Expires) }

// schedule sets the next renewal: ahead of the margin by a sixth of the life,
// less a little at random so that a node's leases do not renew together.
func (l *lease) schedule() {
	ahead := l.margin() + l.granted/6
	l.renewAt = l.Expires.Add(-ahead - rand.N(l.granted/60+1))
}

func (c *cache) beginLease(e *entry, granted *store.Lease, s *source, now time.Time) {
	l := &lease{Lease: *granted, conn: s.connection, label: s.label, granted: granted.Duration}
	if l.granted <= 0 {
		l.granted = max(granted.Expires.Sub(now), time.Second)
	}
	l.of = renewalOf(e.key.identity.Value(), e.key.pod, s)
	l.schedule()
	e.lease = l
	c.leases[e] = struct{}{}
	c.conns.retain(l.conn)
}

func (c *cache) endLease(e *entry) {
	if e.lease != nil {
		c.conns.release(e.lease.conn)
		e.lease = nil
		delete(c.leases, e)
	}
}

// renewDue starts the renewals whose time has come. It is called every second. The
// namespace that has the fewest renewals in flight comes first, and of its leases the
// one that ends first.
func (c *cache) renewDue(config *config.Config) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	type over struct {
		namespace string
		conn      *connection
	}
	now, running, of, due := c.now(), map[string]int{}, map[over]int{}, map[string][]*entry{}
	for e := range c.leases {
		l, namespace := e.lease, e.key.namespace()
		switch {
		case l.renewing != nil:
			running[namespace]++
			of[over{namespace, l.conn}]++
		case l.Renew != nil && !l.dead && !now.Before(l.renewAt) && now.Sub(e.lastUsed) < config.Cache.Idle:
			due[namespace] = append(due[namespace], e)
		}
	}
	for _, entries := range due {
		slices.SortFunc(entries, func(a, b *entry) int { return a.lease.Expires.Compare(b.lease.Expires) })
	}
	for len(due) > 0 {
		namespace, fewest := "", math.MaxInt
		for name := range due {
			if running[name] < fewest {
				namespace, fewest = name, running[name]
			}
		}
		e := due[namespace][0]
		if due[namespace] = due[namespace][1:]; len(due[namespace]) == 0 {
			delete(due, namespace)
		}
		l := e.lease
		if of[over{namespace, l.conn}] >= renewalsOfOne {
			continue
		}
		turn, ok := c.shares.renewals.TryAcquire(namespace, 1)
		if !ok {
			delete(due, namespace) // until the next time
			continue
		}
		l.renewing = turn
		running[namespace]++
		of[over{namespace, l.conn}]++
		c.conns.retain(l.conn)
		c.work.Go(func() {
			defer c.conns.release(l.conn)
			ctx := remote.WithStore(share.With(c.lifetime, namespace), storeLabel(config, l.label))
			c.renew(ctx, l, config.Bounds.ReadTimeout)
		})
	}
}

// renew renews one lease and notes what came of it.
func (c *cache) renew(ctx context.Context, l *lease, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	began := c.now()
	renewed, err := c.callRenew(ctx, l)
	if c.lifetime.Err() == nil {
		c.metrics.outages.note(remote.StoreOf(ctx), began, err)
	}
	c.noteRenewal(l, err)

	c.mu.Lock()
	defer c.mu.Unlock()
	l.renewing.Release()
	l.renewing = nil
	now := c.now()
	switch {
	case err == nil:
		c.metrics.renewals.WithLabelValues("ok").Inc()
		gained := renewed.Expires.Sub(l.Expires)
		l.Lease = *renewed
		l.schedule()
		if gained < time.Second {
			// The store's maximum is reached; what is left is replaced in time.
			l.Renew = nil
		}
	case errors.Is(err, fault.ErrUnavailable) || ctx.Err() != nil:
		c.metrics.renewals.WithLabelValues("unavailable").Inc()
		l.renewAt = now.Add(min(l.granted/10, retryAfterMax))
	default:
		c.metrics.renewals.WithLabelValues("refused").Inc()
		klog.V(1).InfoS("A lease was refused renewal and will be replaced at the pod's next poll", "store", l.conn.typeName, "err", err)
		l.dead = true
	}
}

func (c *cache) callRenew(ctx context.Context, l *lease) (renewed *store.Lease, err error) {
	defer func() {
		if r := recover(); r != nil {
			renewed, err = nil, c.panicked(l.conn, r)
		}
	}()
	renewed, err = l.Renew(ctx)
	switch {
	case err != nil:
		return nil, err
	case renewed == nil:
		return nil, fmt.Errorf("%w: the store renewed a lease and gave none", fault.ErrInternal)
	}
	return encodableLease(renewed), nil
}
