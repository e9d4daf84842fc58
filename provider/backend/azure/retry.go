package azure

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
)

// firstWait is about how long the first repetition waits; each further one
// waits twice as long. longestWait bounds what a server may ask for.
// https://learn.microsoft.com/azure/key-vault/general/overview-throttling#recommended-client-side-throttling-method
const (
	firstWait   = 200 * time.Millisecond
	longestWait = 20 * time.Second
)

// retrier makes calls that change nothing, and again where that may help.
type retrier struct {
	host    string
	timeout time.Duration // of one try
	retries int
}

// outcome is what became of a try.
type outcome struct {
	err    error         // nil if the try succeeded
	passes bool          // another try may help
	after  time.Duration // what Retry-After asks for
}

// do tries until it succeeds, no further try is of use, or there is no time
// for one. The error is the last try's, or wraps ctx's.
func (r retrier) do(ctx context.Context, try func(context.Context) outcome) error {
	for n := 0; ; n++ {
		limited := remote.WithTimeout(ctx, r.timeout)
		result := try(limited)
		noSlot := remote.NoSlot(limited)
		switch {
		case result.err == nil:
			return nil
		case noSlot != nil:
			return &failure{kind: fault.ErrUnavailable, text: noSlot.Error(), cause: noSlot}
		case ctx.Err() != nil:
			return fmt.Errorf("no answer from %s in the time given: %w", r.host, ctx.Err())
		case !result.passes || n >= r.retries || !wait(ctx, n, result.after):
			return result.err
		}
	}
}

// wait waits before another try, and is false if there is no time for it.
func wait(ctx context.Context, n int, asked time.Duration) bool {
	backoff := min(firstWait<<n, longestWait)
	delay := max(asked, backoff/2+rand.N(backoff))
	if deadline, ok := ctx.Deadline(); delay > longestWait || ok && time.Until(deadline) <= delay {
		return false
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// retryAfter reads the header of RFC 9110, section 10.2.3.
func retryAfter(resp *http.Response) time.Duration {
	if resp == nil {
		return 0
	}
	text := resp.Header.Get("Retry-After")
	if count, err := strconv.Atoi(text); err == nil {
		return time.Duration(min(max(count, 0), 3600)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return time.Until(at)
	}
	return 0
}
