package credential

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/internal/span"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// flight is an exchange that all who need it wait for.
type flight[C any] struct {
	done chan struct{}
	// Set before done is closed.
	grant *Grant[C]
	err   error
}

// Get returns the key's credential: the one in hand while it is good, else that
// of an exchange. A credential that nears its end is handed out while another
// is got beside it. The error is the exchange's, or wraps ctx's error if ctx
// ended first, in which case the exchange goes on for the others.
func (c *Cache[C]) Get(ctx context.Context, key Key, exchange Exchange[C]) (*Grant[C], error) {
	for {
		grant, under, mine, err := c.join(ctx, key, exchange)
		if grant != nil || err != nil {
			return grant, err
		}
		select {
		case <-under.done:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the credential: %w", ctx.Err())
		}
		if !mine && errors.Is(under.err, identity.ErrNoToken) {
			continue // the pod that began it had no token; this one may
		}
		return under.grant, under.err
	}
}

// join returns the grant in hand, or the flight to wait for, and whether this
// call began it.
func (c *Cache[C]) join(ctx context.Context, key Key, exchange Exchange[C]) (_ *Grant[C], _ *flight[C], mine bool, _ error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, false, fault.Fail(fault.ErrUnavailable, errors.New("the provider is stopping"))
	}
	now := c.now()
	s := c.slot(key, now)
	usable := s.grant != nil && s.grant.usable(now)
	due := s.grant == nil || s.grant.due(now)
	if s.flight == nil && (!usable || due && !now.Before(s.retry)) {
		begun := &flight[C]{done: make(chan struct{})}
		s.flight, mine = begun, true
		c.work.Go(func() { c.fly(ctx, key, s, begun, exchange) })
	}
	if usable {
		return s.grant, nil, false, nil
	}
	return nil, s.flight, mine, nil
}

// slot finds or makes the key's slot. The lock is held.
func (c *Cache[C]) slot(key Key, now time.Time) *slot[C] {
	s, ok := c.slots.Get(key)
	if !ok {
		s = &slot[C]{}
		c.slots.Add(key, s)
		c.slots.Shrink(c.keys)
		c.arm()
	}
	s.used = now
	return s
}

// arm lets sweep run after a while. The lock is held.
func (c *Cache[C]) arm() {
	if c.sweeper == nil {
		c.sweeper = time.AfterFunc(idle/10, c.sweep)
	}
}

// sweep forgets what nobody has asked for lately, such as the credentials of
// pods that are gone.
func (c *Cache[C]) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweeper = nil
	if c.closed {
		return
	}
	now := c.now()
	for _, key := range c.slots.Keys() {
		if s, ok := c.slots.Peek(key); ok && now.Sub(s.used) >= idle {
			c.slots.Remove(key)
		}
	}
	if c.slots.Len() > 0 {
		c.arm()
	}
}

// fly makes an exchange, puts its result into the slot and tells who waits. Its calls
// are the key's tenant's, and its span is below that of the caller who began it.
func (c *Cache[C]) fly(caller context.Context, key Key, s *slot[C], under *flight[C], exchange Exchange[C]) {
	ctx, cancel := context.WithTimeout(remote.ForLogin(c.lifetime, key.tenant()), c.timeout)
	defer cancel()
	ctx, login := span.Start(span.Within(ctx, caller), "login")
	got, expires, err := call(ctx, exchange)
	if err != nil {
		login.Fail(fault.Of(err).Word)
	}
	login.End()
	if err != nil && ctx.Err() != nil {
		err = fault.Fail(fault.ErrUnavailable, fmt.Errorf("no credential within %v: %w", c.timeout, detached{err}))
	}
	if c.lifetime.Err() == nil {
		c.calls.LoggedIn(caller, remote.Login{Identity: key.Identity, StoreType: c.storeType, Method: key.Method, Err: err})
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	s.flight = nil
	switch {
	case err == nil:
		under.grant = newGrant(got, expires, now)
		s.grant, s.retry = under.grant, time.Time{}
	case errors.Is(err, fault.ErrUnavailable) || errors.Is(err, identity.ErrNoToken):
		// What still works is used to its end.
		under.err = err
		s.retry = now.Add(retryAfter/2 + rand.N(retryAfter))
	default:
		// A refusal is an answer: what was granted before must not outlive it.
		under.err = err
		s.grant = nil
	}
	close(under.done)
}

// call is the exchange, of which a panic fails this flight alone. The panic's
// own text may hold a token; its type and place do not.
func call[C any](ctx context.Context, exchange Exchange[C]) (got C, expires time.Time, err error) {
	defer func() {
		if r := recover(); r != nil {
			klog.ErrorS(nil, "An exchange for a credential panicked", "panic", fmt.Sprintf("%T", r), "stack", string(debug.Stack()))
			err = fault.Fail(fault.ErrUnavailable, errors.New("the exchange for a credential failed by a fault in the provider; its log says more"))
		}
	}()
	return exchange(ctx)
}

// detached is an error whose cause is not to be matched: that the exchange's
// time is up must not pass for the end of a caller's own.
type detached struct{ error }

// newGrant sets when a grant is renewed: when between seven and eight tenths of
// its life are over, at random so that a node's grants do not renew together.
func newGrant[C any](got C, expires, now time.Time) *Grant[C] {
	g := &Grant[C]{Credential: got, Expires: expires}
	if life := expires.Sub(now); !expires.IsZero() && life > 0 {
		g.renewAt = now.Add(life/10*7 + rand.N(life/10+1))
		g.lastUse = expires.Add(-min(life/10, maxLeeway))
	}
	return g
}

// due says that the grant is to be replaced.
func (g *Grant[C]) due(now time.Time) bool { return !g.Expires.IsZero() && !now.Before(g.renewAt) }

// usable says that the grant may be handed out. One that had ended when it came
// is for those who waited for it alone.
func (g *Grant[C]) usable(now time.Time) bool { return g.Expires.IsZero() || now.Before(g.lastUse) }
