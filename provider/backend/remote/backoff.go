package remote

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// Backoff says how often a call is retried, and how long it pauses before each
// retry: exponential backoff with jitter.
type Backoff struct {
	// Timeout bounds each try, as WithTimeout does.
	Timeout time.Duration
	// Retries is the number of tries after the first.
	Retries int
	// First is the mean of the first pause. Each further one is twice as long on
	// average, and none is longer than Max.
	First, Max time.Duration
}

// Outcome is how one try ended. The zero Outcome is success.
type Outcome struct {
	Err   error
	Retry bool          // whether a retry may help
	After time.Duration // the pause that the server asks for; zero if it asks for none
}

// Do makes tries until one succeeds, fails in a way that no retry helps, or is
// the last of the retries; the error is then that try's. The number of tries is
// exact but for two reasons to stop before: ctx leaves no time for the next pause,
// or the server asks for a pause longer than Max. If ctx ended during a try, the
// error names peer and wraps ctx's; if the call had no slot, the error wraps
// ErrNoSlot.
func (b Backoff) Do(ctx context.Context, peer string, try func(context.Context) Outcome) error {
	for n := 0; ; n++ {
		limited := WithTimeout(ctx, b.Timeout)
		got := try(limited)
		missed := noSlot(limited)
		switch {
		case got.Err == nil:
			return nil
		case missed != nil:
			return missed
		case errors.Is(got.Err, ErrNoSlot):
			return got.Err
		case ctx.Err() != nil:
			return fmt.Errorf("no answer from %s in the time given: %w", peer, ctx.Err())
		case !got.Retry || n >= b.Retries || !b.pause(ctx, n, got.After):
			return got.Err
		}
	}
}

// pause waits before retry n, counted from zero, and is false if there is no time
// for it.
func (b Backoff) pause(ctx context.Context, n int, asked time.Duration) bool {
	// The jitter of half the mean in both directions stays within Max.
	mean := b.Max * 2 / 3
	if n < 30 {
		mean = min(b.First<<n, mean)
	}
	delay := max(asked, mean/2+rand.N(mean+1))
	if deadline, ok := ctx.Deadline(); asked > b.Max || ok && time.Until(deadline) <= delay {
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

// RetryAfter reads the header of RFC 9110, section 10.2.3; zero if there is none.
func RetryAfter(header http.Header) time.Duration {
	text := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(min(max(seconds, 0), 3600)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}
