package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
)

// pollAllowance is the time that a replacement must have to reach the pod: the
// driver polls about every 75 to 80 seconds, and one poll may fail.
const pollAllowance = 3 * time.Minute

// renewalsAtOnce bounds the renewals in flight, and renewalsOfOne those over one
// connection, so that a store that hangs leaves room for the others' leases.
const (
	renewalsAtOnce = 64
	renewalsOfOne  = 8
)

// lease is how the engine keeps a value working for its pod. The provider is
// never told when a pod ends, so a lease is renewed only while its pod's polls
// come; after that it is left to run out. It is guarded by cache.mu.
type lease struct {
	store.Lease
	conn *connection
	// granted is how long the value worked when it was issued: the measure of
	// whether what a renewal gives is still worth having.
	granted  time.Duration
	renewAt  time.Time
	renewing bool
	dead     bool // the store has ended it before its time
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

func (l *lease) works(now time.Time) bool { return !l.dead && now.Before(l.Expires) }

// schedule sets the next renewal: ahead of the margin by a sixth of the life,
// less a little at random so that a node's leases do not renew together.
func (l *lease) schedule() {
	ahead := l.margin() + l.granted/6
	l.renewAt = l.Expires.Add(-ahead - rand.N(l.granted/60+1))
}

func (c *cache) beginLease(e *entry, granted *store.Lease, s *source, now time.Time) {
	l := &lease{Lease: *granted, conn: s.connection, granted: granted.Duration}
	if l.granted <= 0 {
		l.granted = max(granted.Expires.Sub(now), time.Second)
	}
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

// renewDue starts the renewals whose time has come. It is called every second.
func (c *cache) renewDue(config *config.Config) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, running, of := c.now(), 0, map[*connection]int{}
	for e := range c.leases {
		if e.lease.renewing {
			running++
			of[e.lease.conn]++
		}
	}
	for e := range c.leases {
		l := e.lease
		if running >= renewalsAtOnce || c.closed {
			return
		}
		due := l.Renew != nil && !l.dead && !l.renewing && !now.Before(l.renewAt)
		if !due || now.Sub(e.asked) >= config.Cache.Idle || of[l.conn] >= renewalsOfOne {
			continue
		}
		l.renewing = true
		running++
		of[l.conn]++
		c.conns.retain(l.conn)
		c.work.Go(func() {
			defer c.conns.release(l.conn)
			c.renew(l, config.Bounds.ReadTimeout)
		})
	}
}

// renew renews one lease and notes what came of it.
func (c *cache) renew(l *lease, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(c.lifetime, timeout)
	defer cancel()
	renewed, err := c.callRenew(ctx, l)

	c.mu.Lock()
	defer c.mu.Unlock()
	l.renewing = false
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
	if err == nil && renewed == nil {
		return nil, fmt.Errorf("%w: the store renewed a lease and gave none", fault.ErrInternal)
	}
	return renewed, err
}
