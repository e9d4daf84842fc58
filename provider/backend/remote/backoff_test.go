package remote

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// errPasses is a failure that a retry may help.
var errPasses = errors.New("passes")

func TestRetriesAreExact(t *testing.T) {
	for _, b := range []Backoff{
		{Retries: 0, First: 100 * time.Millisecond, Max: 10 * time.Second},
		{Retries: 8, First: 150 * time.Millisecond, Max: 10 * time.Second},
		{Retries: 8, First: 200 * time.Millisecond, Max: 20 * time.Second},
		{Retries: 10, First: 100 * time.Millisecond, Max: 5 * time.Second},
		{Retries: 100, First: time.Second, Max: 2 * time.Second},
	} {
		for failures := range b.Retries + 2 {
			synctest.Test(t, func(t *testing.T) {
				tries, last := 0, time.Now()
				err := b.Do(t.Context(), "peer", func(context.Context) Outcome {
					if pause := time.Since(last); tries > 0 && (pause < min(b.First/2, b.Max/3) || pause > b.Max) {
						t.Errorf("%+v: the pause before try %d took %v", b, tries+1, pause)
					}
					last = time.Now()
					if tries++; tries <= failures {
						return Outcome{Err: errPasses, Retry: true}
					}
					return Outcome{}
				})
				want, wantErr := failures+1, error(nil)
				if failures > b.Retries {
					want, wantErr = b.Retries+1, errPasses
				}
				if tries != want || !errors.Is(err, wantErr) {
					t.Errorf("%+v: %d tries and error %v after %d failures, want %d and %v", b, tries, err, failures, want, wantErr)
				}
			})
		}
	}
}

func TestPausesGrowAndDiffer(t *testing.T) {
	b := Backoff{Retries: 5, First: 100 * time.Millisecond, Max: 10 * time.Second}
	took := map[time.Duration]bool{}
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			_ = b.Do(t.Context(), "peer", func(context.Context) Outcome { return Outcome{Err: errPasses, Retry: true} })
			all := time.Since(start)
			// The means add up to 3.1 s.
			if all < 1550*time.Millisecond || all > 4650*time.Millisecond {
				t.Errorf("five pauses took %v", all)
			}
			took[all] = true
		})
	}
	if len(took) < 2 {
		t.Error("the pauses have no jitter")
	}
}

func TestRetriesEnd(t *testing.T) {
	for name, test := range map[string]struct {
		outcome Outcome
		within  time.Duration
		tries   int
		took    time.Duration
		want    error
	}{
		"no retry helps":              {Outcome{Err: errPasses}, time.Hour, 1, 0, errPasses},
		"a server asks for a pause":   {Outcome{Err: errPasses, Retry: true, After: 4 * time.Second}, time.Hour, 4, 12 * time.Second, errPasses},
		"a server asks for too long":  {Outcome{Err: errPasses, Retry: true, After: 6 * time.Second}, time.Hour, 1, 0, errPasses},
		"no time for the next pause":  {Outcome{Err: errPasses, Retry: true, After: 4 * time.Second}, 10 * time.Second, 3, 8 * time.Second, errPasses},
		"no slot":                     {Outcome{Err: ErrNoSlot, Retry: true}, time.Hour, 1, 0, ErrNoSlot},
		"the context's time was over": {Outcome{Err: errPasses, Retry: true}, 0, 1, 0, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), test.within)
				defer cancel()
				tries, start := 0, time.Now()
				err := Backoff{Retries: 3, First: 100 * time.Millisecond, Max: 5 * time.Second}.Do(ctx, "peer", func(context.Context) Outcome {
					tries++
					return test.outcome
				})
				if took := time.Since(start); tries != test.tries || took != test.took || !errors.Is(err, test.want) {
					t.Errorf("%d tries in %v with error %v", tries, took, err)
				}
			})
		})
	}
}

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for text, want := range map[string]time.Duration{
			"": 0, "soon": 0, "-1": 0, "7": 7 * time.Second, "99999999": time.Hour,
			time.Now().UTC().Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second,
			time.Now().UTC().Add(-time.Hour).Format(http.TimeFormat):       0,
		} {
			if got := RetryAfter(http.Header{"Retry-After": {text}}); got != want {
				t.Errorf("%q: %v, want %v", text, got, want)
			}
		}
	})
}
