package remote

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/lanyardhq/lanyard/provider/fault"
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
	// Impatient lets throttled tries count too, for who has another server to ask.
	Impatient bool
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
// or the server asks for a pause longer than Max. A try that failed with
// fault.ErrThrottled does not count unless the Backoff is Impatient: the call waits, for
// as long as the server asks, while ctx's deadline leaves time. If ctx ended during
// a try, the error names peer, has the text of the last try that had an answer, and wraps
// ctx's; if the call had no slot, the error wraps ErrNoSlot; if a DialRule refuses its
// address, it is an *AddressRefusedError.
func (b Backoff) Do(ctx context.Context, peer string, try func(context.Context) Outcome) error {
	var last error
	for n, retries := 0, 0; ; n++ {
		limited := WithTimeout(ctx, b.Timeout)
		got := try(limited)
		missed, throttled := notMade(limited), errors.Is(got.Err, fault.ErrThrottled)
		if throttled || !got.Retry {
			adapt(limited, throttled)
		}
		switch {
		case got.Err == nil:
			return nil
		case missed != nil:
			return missed
		case errors.Is(got.Err, ErrNoSlot), IsRefused(got.Err):
			return got.Err
		case ctx.Err() != nil:
			return timeOver(ctx, peer, last)
		case !got.Retry:
			return got.Err
		}
		last = got.Err
		longest := b.Max
		if deadline, ok := ctx.Deadline(); ok && throttled && !b.Impatient {
			longest = time.Until(deadline)
		} else if retries++; retries > b.Retries {
			return got.Err
		}
		if !b.pause(ctx, n, got.After, longest) {
			return got.Err
		}
	}
}

// timeOver is the error of a call whose time ended during a try.
func timeOver(ctx context.Context, peer string, last error) error {
	before := ""
	if last != nil {
		before = fmt.Sprintf(" (the try before: %v)", last)
	}
	return fmt.Errorf("no answer from %s in the time given%s: %w", peer, before, ctx.Err())
}

// pause waits before retry n, counted from zero, and is false if there is no time
// for it or the server asks for a longer pause than longest.
func (b Backoff) pause(ctx context.Context, n int, requested, longest time.Duration) bool {
	// The jitter of half the mean in both directions stays within Max.
	mean := b.Max * 2 / 3
	if n < 30 {
		mean = min(b.First<<n, mean)
	}
	delay := max(requested, mean/2+rand.N(mean+1))
	if deadline, ok := ctx.Deadline(); requested > longest || ok && time.Until(deadline) <= delay {
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
