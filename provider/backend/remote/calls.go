package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/share"
)

// Calls bounds the calls in flight at each address that is dialled, over all
// classes and identities, so that the pods of a node do not overload a store.
// Addresses do not wait for each other, and the tenants of package share divide the
// slots of an address, so that calls of one that do not end leave room for those of
// the others. It is safe for concurrent use.
type Calls struct {
	// Observe, if set before the first call, is told of every call that
	// ended: its context, the type of store, the HTTP status (zero if there was
	// no answer) and how long it took until the answer's header.
	Observe func(ctx context.Context, storeType string, status int, took time.Duration)
	// Logins, if set before the first call, is told of every login that ended, with the
	// context of the call that it was made for.
	Logins func(ctx context.Context, login Login)
	// Meter, if set before the first call, counts the slots of all addresses.
	Meter *share.Meter
	// Answers are the bytes of the answers on their way of which the memory is no mount's
	// yet, each counted as the largest that it may be: those over gRPC and to logins. They
	// may be replaced before the first call.
	Answers *share.Pool
	// Certificates are the client certificates of all connections.
	Certificates *Certificates

	mu    sync.Mutex
	limit int64
	slots map[string]*slots // only addresses that have calls
}

type slots struct {
	*share.Pool
	users     int       // calls that hold or wait for a slot
	allowed   float64   // how many calls the server seems to bear; at most the limit
	throttled time.Time // when allowed was lowered
}

// NewCalls allows limit calls in flight at each address; limit is at least 1.
func NewCalls(limit int) *Calls {
	return &Calls{limit: int64(max(limit, 1)), slots: map[string]*slots{}, Answers: NewAnswers(nil), Certificates: newCertificates()}
}

// SetLimit changes the bound. Calls that already hold a slot keep it.
func (c *Calls) SetLimit(limit int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = int64(max(limit, 1))
	for _, s := range c.slots {
		s.allowed = float64(c.limit)
		s.SetLimits(slotLimits(c.limit))
	}
}

// stalled is how long a tenant waits before calls of others that do not end are no
// longer its concern. Until then the limit holds for all tenants together.
const stalled = 200 * time.Millisecond

// slotLimits are the limits of one address.
func slotLimits(limit int64) share.Limits {
	return share.Limits{Capacity: limit, Guarantee: min(limit, share.Guarantee), Patience: stalled}
}

// ErrNoSlot means that a call was not made, because the concurrency limit of its
// address was reached until its time was over. Its error wraps ErrUnavailable and
// ctx's too.
var ErrNoSlot = errors.New("concurrency limit reached")

// noSlotError is the error of a call that was not made.
type noSlotError struct {
	text  string
	cause error // ctx's
}

func (e *noSlotError) Error() string { return e.text }

func (e *noSlotError) Unwrap() []error { return []error{ErrNoSlot, fault.ErrUnavailable, e.cause} }

// Acquire waits for a slot at the address, for the tenant of ctx, and returns the
// function that gives it back, to be called once. The error wraps ErrNoSlot.
func (c *Calls) Acquire(ctx context.Context, address string) (release func(), err error) {
	c.mu.Lock()
	s, limit := c.at(address), c.limit
	s.users++
	c.mu.Unlock()
	if allowed, ok := ctx.Value(timeoutKey{}).(*allowance); ok {
		allowed.requested.Store(&slotRequest{c, address})
	}

	leave := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if s.users--; s.users == 0 && s.allowed >= float64(c.limit) {
			s.Close()
			delete(c.slots, address)
		}
	}
	slot, err := s.Acquire(ctx, share.Of(ctx), 1)
	if err != nil {
		leave()
		return nil, &noSlotError{fmt.Sprintf("%s: concurrency limit of %d calls reached (bounds.storeCalls)", address, limit), err}
	}
	return func() { slot.Release(); leave() }, nil
}

// at is what is known of an address. It is entered with mu held.
func (c *Calls) at(address string) *slots {
	s := c.slots[address]
	if s == nil {
		s = &slots{Pool: share.New(c.Meter, slotLimits(c.limit)), allowed: float64(c.limit)}
		c.forget()
		c.slots[address] = s
	}
	return s
}

// What is known of an address that throttles: it is kept for so long without calls, of so
// many addresses, and one burst of refusals counts as one.
const (
	throttledKept = time.Minute
	throttledMax  = 256
	oneBurst      = 250 * time.Millisecond
)

// forget drops what is known of addresses without calls. It is entered with mu held.
func (c *Calls) forget() {
	for address, s := range c.slots {
		if s.users == 0 && (time.Since(s.throttled) > throttledKept || len(c.slots) >= throttledMax) {
			s.Close()
			delete(c.slots, address)
		}
	}
}

// ended adapts the number of calls in flight to what the server at an address bears, as
// TCP does: half as many once it throttles, and one more for each round without.
func (c *Calls) ended(address string, throttled bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.slots[address]
	if s == nil && throttled {
		s = c.at(address)
	}
	limit := float64(c.limit)
	switch {
	case s == nil || !throttled && s.allowed >= limit:
		return
	case !throttled:
		s.allowed = min(s.allowed+1/s.allowed, limit)
	case time.Since(s.throttled) < oneBurst:
		return
	default:
		s.allowed, s.throttled = max(s.allowed/2, 1), time.Now()
	}
	s.SetLimits(slotLimits(int64(s.allowed)))
}

// timeoutKey is the context's key for the allowance of WithTimeout.
type timeoutKey struct{}

// allowance is how long each call may take, and why one was not made.
type allowance struct {
	timeout   time.Duration
	notMade   atomic.Pointer[error]
	requested atomic.Pointer[slotRequest] // for the last call
}

// slotRequest is whose slot was requested, and for which address.
type slotRequest struct {
	calls   *Calls
	address string
}

// adapt lets the calls in flight at the address of the last call made with ctx, which is
// WithTimeout's, become fewer if it was throttled, else more.
func adapt(ctx context.Context, throttled bool) {
	if allowed, ok := ctx.Value(timeoutKey{}).(*allowance); ok {
		if last := allowed.requested.Load(); last != nil {
			last.calls.ended(last.address, throttled)
		}
	}
}

// WithTimeout lets each call that goes through a Transport take so long, to the
// end of its answer's body. The time begins when the call has its slot, so that
// waiting for the others is not taken for a store that does not answer.
func WithTimeout(ctx context.Context, timeout time.Duration) context.Context {
	return context.WithValue(ctx, timeoutKey{}, &allowance{timeout: timeout})
}

// notMade is the error of a call that was not made with ctx, which is WithTimeout's;
// nil if each was made. It wraps ErrNoSlot, or is an *AddressRefusedError. Of the
// first, the clients of AWS and Azure keep no more than that ctx has ended.
func notMade(ctx context.Context) error {
	if allowed, ok := ctx.Value(timeoutKey{}).(*allowance); ok {
		if err := allowed.notMade.Load(); err != nil {
			return *err
		}
	}
	return nil
}

// Transport bounds and observes the calls that go through next, by the address that
// is dialled for their URL. A call holds its slot until its answer's body is closed.
func (c *Calls) Transport(storeType string, dialled func(*url.URL) string, next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		allowed, limited := req.Context().Value(timeoutKey{}).(*allowance)
		address := dialled(req.URL)
		release, err := c.Acquire(req.Context(), address)
		if err == nil && isLogin(req.Context()) {
			var room *share.Held
			give := release
			release = func() { room.Release(); give() }
			if room, err = c.room(req.Context(), address, maxLogin); err != nil {
				release()
			}
		}
		if err != nil {
			if limited {
				allowed.notMade.Store(&err)
			}
			return nil, err
		}
		if limited {
			ctx, cancel := context.WithTimeout(req.Context(), allowed.timeout)
			give := release
			req, release = req.WithContext(ctx), func() { cancel(); give() }
		}
		traced, done := traceCall(req, storeType)
		start := time.Now()
		resp, err := next.RoundTrip(traced)
		status := 0
		if err == nil {
			status = resp.StatusCode
		}
		done(status)
		if c.Observe != nil {
			c.Observe(req.Context(), storeType, status, time.Since(start))
		}
		if err != nil {
			if limited && IsRefused(err) {
				allowed.notMade.Store(&err)
			}
			release()
			return nil, err
		}
		resp.Body = &heldBody{ReadCloser: resp.Body, release: sync.OnceFunc(release)}
		return resp, nil
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// heldBody gives the call's slot back when it is closed.
type heldBody struct {
	io.ReadCloser
	release func()
}

func (b *heldBody) Close() error {
	defer b.release()
	return b.ReadCloser.Close()
}
