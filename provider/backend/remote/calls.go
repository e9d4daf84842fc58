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

	"golang.org/x/sync/semaphore"

	"github.com/lanyardhq/lanyard/provider/fault"
)

// Calls bounds the calls in flight at each address that is dialled, over all
// classes and identities, so that the pods of a node do not overload a store.
// Addresses do not wait for each other. It is safe for concurrent use.
type Calls struct {
	// Observe, if set before the first call, is told of every call that
	// ended: the type of store, the HTTP status (zero if there was no answer)
	// and how long it took until the answer's header.
	Observe func(storeType string, status int, took time.Duration)

	mu    sync.Mutex
	limit int64
	slots map[string]*slots // only addresses that have calls
}

type slots struct {
	*semaphore.Weighted
	users int // calls that hold or wait for a slot
}

// NewCalls allows limit calls in flight at each address; limit is at least 1.
func NewCalls(limit int) *Calls {
	return &Calls{limit: int64(max(limit, 1)), slots: map[string]*slots{}}
}

// SetLimit changes the bound. Calls that already hold or wait for a slot
// finish under the old one.
func (c *Calls) SetLimit(limit int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limit != int64(max(limit, 1)) {
		c.limit = int64(max(limit, 1))
		c.slots = map[string]*slots{}
	}
}

// ErrNoSlot means that a call was not made, because the concurrency limit of its
// address was reached until its time was over. Its error wraps ErrUnavailable and
// ctx's too.
var ErrNoSlot = errors.New("concurrency limit reached")

// noSlotError is the error of a call that was not made.
type noSlotError struct {
	address string
	limit   int64
	cause   error // ctx's
}

func (e *noSlotError) Error() string {
	return fmt.Sprintf("%s: concurrency limit of %d calls reached (bounds.storeCalls)", e.address, e.limit)
}

func (e *noSlotError) Unwrap() []error { return []error{ErrNoSlot, fault.ErrUnavailable, e.cause} }

// Acquire waits for a slot at the address and returns the function that gives
// it back, to be called once. The error wraps ErrNoSlot.
func (c *Calls) Acquire(ctx context.Context, address string) (release func(), err error) {
	c.mu.Lock()
	s, limit := c.slots[address], c.limit
	if s == nil {
		s = &slots{Weighted: semaphore.NewWeighted(c.limit)}
		c.slots[address] = s
	}
	s.users++
	c.mu.Unlock()

	leave := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if s.users--; s.users == 0 && c.slots[address] == s {
			delete(c.slots, address)
		}
	}
	if err := s.Acquire(ctx, 1); err != nil {
		leave()
		return nil, &noSlotError{address, limit, err}
	}
	return func() { s.Release(1); leave() }, nil
}

// timeoutKey is the context's key for the allowance of WithTimeout.
type timeoutKey struct{}

// allowance is how long each call may take, and why one was not made.
type allowance struct {
	timeout time.Duration
	noSlot  atomic.Pointer[error]
}

// WithTimeout lets each call that goes through a Transport take so long, to the
// end of its answer's body. The time begins when the call has its slot, so that
// waiting for the others is not taken for a store that does not answer.
func WithTimeout(ctx context.Context, timeout time.Duration) context.Context {
	return context.WithValue(ctx, timeoutKey{}, &allowance{timeout: timeout})
}

// noSlot is the error, which wraps ErrNoSlot, of a call that was not made with
// ctx, which is WithTimeout's; nil if each was made. The clients of AWS and Azure
// keep no more of it than that ctx has ended.
func noSlot(ctx context.Context) error {
	if allowed, ok := ctx.Value(timeoutKey{}).(*allowance); ok {
		if err := allowed.noSlot.Load(); err != nil {
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
		release, err := c.Acquire(req.Context(), dialled(req.URL))
		if err != nil {
			if limited {
				allowed.noSlot.Store(&err)
			}
			return nil, err
		}
		if limited {
			ctx, cancel := context.WithTimeout(req.Context(), allowed.timeout)
			give := release
			req, release = req.WithContext(ctx), func() { cancel(); give() }
		}
		start := time.Now()
		resp, err := next.RoundTrip(req)
		status := 0
		if err == nil {
			status = resp.StatusCode
		}
		if c.Observe != nil {
			c.Observe(storeType, status, time.Since(start))
		}
		if err != nil {
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
