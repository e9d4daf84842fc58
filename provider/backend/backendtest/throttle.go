package backendtest

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/fault"
)

// Throttling is the ways in which a server says that there are too many calls, by what
// is refused so. Each has the server answer the next times calls in its way, all if times is
// zero, until it is undone; unless after is zero, the answer asks to wait for so long.
type Throttling map[string]func(times int, after time.Duration) (undo func())

// Throttler refuses calls as a server of HTTP does that has too many. The zero Throttler
// refuses none.
type Throttler struct{ faults Faults[throttle] }

type throttle struct {
	prefix string
	status int
	body   string
	after  time.Duration
}

// Wrap returns next, before which calls are refused.
func (x *Throttler) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		met := x.faults.Meet(func(f *throttle) bool { return strings.HasPrefix(r.URL.Path, f.prefix) })
		if met == nil {
			next.ServeHTTP(w, r)
			return
		}
		if met.after > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(met.after.Seconds())))
		}
		w.Header().Set("Content-Type", "application/json")
		Write(w, met.status, []byte(met.body))
	})
}

// Way is one of a Throttling: calls to paths with the prefix are answered with the status
// and the body.
func (x *Throttler) Way(prefix string, status int, body string) func(times int, after time.Duration) (undo func()) {
	return func(times int, after time.Duration) func() {
		return x.faults.Add(&throttle{prefix, status, body, after}, times)
	}
}

// Check checks that a call waits while the server throttles, however few retries it has,
// and that a failure says that it was throttled, in the words that all products share.
// open is called for each way and returns what makes the call, without retries and with
// no login from before.
func (ways Throttling) Check(t *testing.T, open func(t *testing.T) (ways Throttling, call func(context.Context) error)) {
	t.Helper()
	for name := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ways, call := open(t)
			undo := ways[name](0, time.Hour)
			err := call(t.Context())
			if !errors.Is(err, fault.ErrUnavailable) || !errors.Is(err, fault.ErrThrottled) || !strings.Contains(err.Error(), "is throttling (too many calls)") {
				t.Errorf("throttled: %v, want that it is unavailable because it is throttling", err)
			}
			undo()
			undo = ways[name](2, 0)
			defer undo()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			if err := call(ctx); err != nil {
				t.Errorf("throttled twice, while there is time: %v", err)
			}
		})
	}
}
