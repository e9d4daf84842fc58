package reload

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/klog/v2"
)

func TestARefusedContentIsTriedAgainAndToldOnce(t *testing.T) {
	var log bytes.Buffer
	klog.SetSlogLogger(slog.New(slog.NewTextHandler(&log, nil)))
	defer klog.ClearLogger()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		content, applied := "first", 0
		var refusal error
		become := func(text string, refused error) {
			mu.Lock()
			defer mu.Unlock()
			content, refusal = text, refused
		}
		w := New(File{
			Path: "f", Name: "test file", Metrics: "test",
			Read: func() ([]byte, error) {
				mu.Lock()
				defer mu.Unlock()
				return []byte(content), nil
			},
			Apply: func([]byte) error {
				mu.Lock()
				defer mu.Unlock()
				applied++
				return refusal
			},
		}, []byte(content), prometheus.NewRegistry())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.Run(ctx) }()
		pass := func(d time.Duration, want int) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if applied != want {
				t.Errorf("applied %d times, want %d", applied, want)
			}
		}
		pass(time.Minute, 0)
		become("second", errors.New("not yet"))
		pass(2*Interval, 1)
		pass(Retry, 2)
		pass(Retry, 3)
		become("second", errors.New("for another reason"))
		pass(Retry, 4)
		become("second", nil)
		pass(Retry, 5)
		pass(10*Retry, 5)
		cancel()
		<-done
	})
	for text, want := range map[string]int{"cannot be used": 2, "not yet": 1, "for another reason": 1, "holds from now on": 1} {
		if n := strings.Count(log.String(), text); n != want {
			t.Errorf("%q is logged %d times, want %d:\n%s", text, n, want, &log)
		}
	}
}
