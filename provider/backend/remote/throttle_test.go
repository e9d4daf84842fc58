package remote_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A server that takes fewer calls each second than one mount makes: the mount waits, and
// its calls become fewer, until all are answered.
func TestACallThatIsThrottledWaitsWithinItsTime(t *testing.T) {
	for name, after := range map[string]string{"no Retry-After": "", "Retry-After 0": "0", "Retry-After 1": "1"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const quota, reads = 5, 60
				start := time.Now()
				var (
					mu      sync.Mutex
					window  int64
					taken   int
					refused int
				)
				calls := remote.NewCalls(64)
				transport := calls.Transport("x", func(*url.URL) string { return "x" }, roundTrip(func(r *http.Request) (*http.Response, error) {
					time.Sleep(10 * time.Millisecond)
					mu.Lock()
					defer mu.Unlock()
					if now := int64(time.Since(start) / time.Second); now != window {
						window, taken = now, 0
					}
					resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), Request: r}
					if taken++; taken > quota {
						refused++
						resp.StatusCode = http.StatusTooManyRequests
						resp.Header.Set("Retry-After", after)
					}
					return resp, nil
				}))
				backoff := remote.Backoff{Timeout: 10 * time.Second, Retries: 2, First: 100 * time.Millisecond, Max: 2 * time.Second}
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				var failed atomic.Int64
				var all sync.WaitGroup
				for range reads {
					all.Go(func() {
						err := backoff.Do(ctx, "x", func(ctx context.Context) remote.Outcome {
							req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://x/", http.NoBody)
							if err != nil {
								return remote.Outcome{Err: err}
							}
							resp, err := transport.RoundTrip(req)
							if err != nil {
								return remote.Outcome{Err: err}
							}
							resp.Body.Close()
							if resp.StatusCode != http.StatusOK {
								return remote.Outcome{Err: fault.Throttledf("x", "slow down"), Retry: true, After: remote.RetryAfter(resp.Header)}
							}
							return remote.Outcome{}
						})
						if err != nil {
							failed.Add(1)
						}
					})
				}
				all.Wait()
				if failed.Load() > 0 {
					t.Errorf("%d of %d calls failed, %d were refused on the way", failed.Load(), reads, refused)
				}
				if refused > 20*reads {
					t.Errorf("%d calls were refused for %d answers", refused, reads)
				}
			})
		})
	}
}

func TestAThrottledCallEndsWithItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backoff := remote.Backoff{Timeout: time.Second, Retries: 1, First: 100 * time.Millisecond, Max: time.Second}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		cause, tries, start := fault.Throttledf("x", "slow down"), 0, time.Now()
		err := backoff.Do(ctx, "x", func(context.Context) remote.Outcome {
			tries++
			return remote.Outcome{Err: cause, Retry: true}
		})
		if took := time.Since(start); !errors.Is(err, cause) || tries < 4 || took < 3*time.Second || took > 5*time.Second {
			t.Errorf("%v after %d tries and %s", err, tries, took)
		}
		// What must not be made again is not.
		tries = 0
		if err := backoff.Do(ctx, "x", func(context.Context) remote.Outcome { tries++; return remote.Outcome{Err: cause} }); !errors.Is(err, cause) || tries != 1 {
			t.Errorf("%v after %d tries", err, tries)
		}
		// Without a deadline the retries count.
		tries = 0
		if err := backoff.Do(t.Context(), "x", func(context.Context) remote.Outcome {
			tries++
			return remote.Outcome{Err: cause, Retry: true}
		}); !errors.Is(err, cause) || tries != 2 {
			t.Errorf("%v after %d tries", err, tries)
		}
	})
}

// The error of a call whose time is over says what the last answer was.
func TestTheLastAnswerIsToldWhenTheTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backoff := remote.Backoff{Timeout: time.Minute, Retries: 3, First: 100 * time.Millisecond, Max: time.Second}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		tries := 0
		err := backoff.Do(ctx, "Vault at vault:8200", func(ctx context.Context) remote.Outcome {
			if tries++; tries == 1 {
				return remote.Outcome{Err: fault.Failf(fault.ErrUnavailable, "Vault is sealed (503)"), Retry: true}
			}
			<-ctx.Done()
			return remote.Outcome{Err: errors.New("cut off"), Retry: true}
		})
		if want := "no answer from Vault at vault:8200 in the time given (the try before: Vault is sealed (503)): context deadline exceeded"; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	})
}
