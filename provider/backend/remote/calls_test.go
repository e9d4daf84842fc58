package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/share"
)

// One tenant's calls do not end, at the address that others call too.
func TestTenantsShareTheSlotsOfAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCalls(64)
		ctx := share.With(t.Context(), "greedy")
		for range 64 {
			if _, err := c.Acquire(ctx, "a"); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 30 {
			release, err := c.Acquire(share.With(t.Context(), fmt.Sprint("other", i)), "a")
			if err != nil {
				t.Fatalf("tenant %d has no slot: %v", i, err)
			}
			defer release()
		}
	})
}

// gauge counts what is in flight and the most there ever was.
type gauge struct{ now, most atomic.Int64 }

func (g *gauge) enter() {
	now := g.now.Add(1)
	for most := g.most.Load(); now > most && !g.most.CompareAndSwap(most, now); most = g.most.Load() {
	}
}

func (g *gauge) leave() { g.now.Add(-1) }

// slotsKept is how many addresses c remembers.
func slotsKept(c *Calls) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.slots)
}

func TestCallsKeepToTheLimitAtEachAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, addresses = 3, 4
		c := NewCalls(limit)
		gauges := make([]gauge, addresses)
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				release, err := c.Acquire(t.Context(), fmt.Sprint(i%addresses))
				if err != nil {
					t.Error(err)
					return
				}
				gauges[i%addresses].enter()
				time.Sleep(time.Second)
				gauges[i%addresses].leave()
				release()
			})
		}
		start := time.Now()
		all.Wait()
		for i := range gauges {
			if most := gauges[i].most.Load(); most != limit {
				t.Errorf("address %d: %d at once, want %d", i, most, limit)
			}
		}
		// Each address has 50 calls of a second, 3 at once; none waits for another.
		if took := time.Since(start); took != 17*time.Second {
			t.Errorf("took %v, want 17s: addresses wait for each other or slots stay empty", took)
		}
		if n := slotsKept(c); n != 0 {
			t.Errorf("%d addresses are remembered after their calls", n)
		}
	})
}

func TestCallsHaveALimitOfAtLeastOne(t *testing.T) {
	for _, limit := range []int{0, -5} {
		c := NewCalls(limit)
		release, err := c.Acquire(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		release()
		c.SetLimit(limit)
		if release, err = c.Acquire(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		release()
	}
}

func TestAcquireGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCalls(1)
		release, err := c.Acquire(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Acquire(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Acquire = %v, want the context's error", err)
		}
		release()
		if n := slotsKept(c); n != 0 {
			t.Errorf("%d addresses are remembered", n)
		}
		// The one who gave up holds nothing.
		again, err := c.Acquire(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		again()
	})
}

func TestTheTimeOfACallBeginsWithItsSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCalls(1)
		takes := 3 * time.Second
		transport := c.Transport("vault", HostPort, roundTripper(func(req *http.Request) (*http.Response, error) {
			select {
			case <-time.After(takes):
				return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(""))}, nil
			case <-req.Context().Done():
				return nil, req.Context().Err()
			}
		}))
		call := func(ctx context.Context) error {
			req, err := http.NewRequestWithContext(WithTimeout(ctx, 4*time.Second), http.MethodGet, "https://vault:8200/v1", nil)
			if err != nil {
				return err
			}
			resp, err := transport.RoundTrip(req)
			if err != nil {
				return err
			}
			return resp.Body.Close()
		}
		var all sync.WaitGroup
		for range 5 { // the last waits for twelve seconds
			all.Go(func() {
				if err := call(t.Context()); err != nil {
					t.Errorf("a call that waited: %v", err)
				}
			})
		}
		all.Wait()

		takes = time.Minute
		all.Go(func() {
			if err := call(t.Context()); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrNoSlot) {
				t.Errorf("a call that took too long: %v", err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := call(ctx); !errors.Is(err, ErrNoSlot) || !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "vault:8200: concurrency limit of 1 calls reached (bounds.storeCalls)") {
			t.Errorf("a call that had no turn: %v", err)
		}
		all.Wait()
		if n := slotsKept(c); n != 0 {
			t.Errorf("%d addresses are remembered", n)
		}
	})
}

func TestSetLimitHoldsForCallsThatFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCalls(1)
		old, err := c.Acquire(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		c.SetLimit(2)
		one, err := c.Acquire(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		old()
		two, err := c.Acquire(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Acquire(ctx, "a"); err == nil {
			t.Error("a third call began under a limit of 2")
		}
		one()
		c.SetLimit(2) // the same limit changes nothing
		three, err := c.Acquire(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		two()
		three()
		if n := slotsKept(c); n != 0 {
			t.Errorf("%d addresses are remembered", n)
		}
	})
}

func TestSetLimitDuringLoad(t *testing.T) {
	c := NewCalls(4)
	var load sync.WaitGroup
	for i := range 8 {
		load.Go(func() {
			for range 200 {
				release, err := c.Acquire(t.Context(), fmt.Sprint(i%2))
				if err != nil {
					t.Error(err)
					return
				}
				release()
			}
		})
	}
	for limit := range 50 {
		c.SetLimit(1 + limit%5)
	}
	load.Wait()
	if n := slotsKept(c); n != 0 {
		t.Errorf("%d addresses are remembered", n)
	}
}

// closer is a body that tells when it was closed.
type closer struct {
	io.Reader
	closed int
	err    error
}

func (c *closer) Close() error { c.closed++; return c.err }

func get(t *testing.T, next http.RoundTripper, url string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return next.RoundTrip(req)
}

func TestTransportHoldsASlotUntilTheBodyIsClosed(t *testing.T) {
	c := NewCalls(1)
	failed := errors.New("close failed")
	body := &closer{Reader: strings.NewReader("content"), err: failed}
	transport := c.Transport("vault", HostPort, roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: body}, nil
	}))
	resp, err := get(t, transport, "https://vault:8200/v1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(resp.Body); err != nil || slotsKept(c) != 1 {
		t.Errorf("the slot was given back before the body was closed (%v)", err)
	}
	if err := resp.Body.Close(); !errors.Is(err, failed) || slotsKept(c) != 0 {
		t.Errorf("after Close (%v) %d slots are held", err, slotsKept(c))
	}
	// net/http and careful callers close twice; the slot is not given back twice.
	_ = resp.Body.Close()
	if body.closed != 2 {
		t.Errorf("the body was closed %d times", body.closed)
	}
	if resp, err = get(t, transport, "https://vault:8200/v1"); err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Acquire(ctx, "vault:8200"); err == nil {
		t.Error("a slot was given back twice")
	}
}

func TestTransportGivesTheSlotBackOnError(t *testing.T) {
	c := NewCalls(1)
	broken := errors.New("connection refused")
	transport := c.Transport("vault", HostPort, roundTripper(func(*http.Request) (*http.Response, error) { return nil, broken }))
	for range 3 {
		resp, err := get(t, transport, "https://vault:8200/v1")
		if !errors.Is(err, broken) {
			resp.Body.Close()
			t.Errorf("RoundTrip = %v", err)
		}
	}
	if n := slotsKept(c); n != 0 {
		t.Errorf("%d slots are held", n)
	}
}

func TestTransportBoundsByHost(t *testing.T) {
	c := NewCalls(1)
	transport := c.Transport("vault", HostPort, roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(""))}, nil
	}))
	first, err := get(t, transport, "https://vault-a:8200/v1")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Body.Close()
	second, err := get(t, transport, "https://vault-b:8200/v1")
	if err != nil {
		t.Fatal(err)
	}
	defer second.Body.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://vault-a:8200/other", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := transport.RoundTrip(req); !errors.Is(err, context.Canceled) {
		resp.Body.Close()
		t.Errorf("a second call at one host: %v, want that it waited", err)
	}
}

func TestTransportObservesEveryCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type seen struct {
			storeType string
			status    int
			took      time.Duration
		}
		var calls []seen
		c := NewCalls(1)
		c.Observe = func(_ context.Context, storeType string, status int, took time.Duration) {
			calls = append(calls, seen{storeType, status, took})
		}
		answers := []int{200, 503, 0}
		transport := c.Transport("vault", HostPort, roundTripper(func(*http.Request) (*http.Response, error) {
			time.Sleep(2 * time.Second)
			status := answers[0]
			answers = answers[1:]
			if status == 0 {
				return nil, errors.New("no answer")
			}
			return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(""))}, nil
		}))
		for range 3 {
			resp, err := get(t, transport, "https://vault:8200/v1")
			if err == nil {
				// Reading the body is not the store's time.
				time.Sleep(time.Minute)
				resp.Body.Close()
			}
		}
		want := []seen{{"vault", 200, 2 * time.Second}, {"vault", 503, 2 * time.Second}, {"vault", 0, 2 * time.Second}}
		if fmt.Sprint(calls) != fmt.Sprint(want) {
			t.Errorf("observed %v, want %v", calls, want)
		}
	})
}
