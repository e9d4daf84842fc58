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
	"github.com/prometheus/client_golang/prometheus/testutil"
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

func TestReloadMakesTheFileHoldAtOnce(t *testing.T) {
	content, applied := "first", 0
	var refusal error
	w := New(File{
		Path: "f", Name: "test file", Metrics: "test",
		Read:  func() ([]byte, error) { return []byte(content), nil },
		Apply: func([]byte) error { applied++; return refusal },
	}, []byte(content), prometheus.NewRegistry())
	if err := w.Reload(); err != nil || applied != 1 {
		t.Errorf("the same content: applied %d times, %v", applied, err)
	}
	content, refusal = "second", errors.New("not yet")
	if err := w.Reload(); !errors.Is(err, refusal) || testutil.ToFloat64(w.successful) != 0 {
		t.Errorf("%v, successful %v", err, testutil.ToFloat64(w.successful))
	}
	w.look()
	if applied != 2 {
		t.Errorf("what was just refused is tried again at once: applied %d times", applied)
	}
	first := w.Refused()
	if err := w.Reload(); err == nil || first == nil || first.Cause != "not yet" || w.Refused().Since != first.Since {
		t.Errorf("%v, refused %v, before %v", err, w.Refused(), first)
	}
	applied, refusal = 2, nil
	if err := w.Reload(); err != nil || applied != 3 || testutil.ToFloat64(w.successful) != 1 {
		t.Errorf("applied %d times, %v, successful %v", applied, err, testutil.ToFloat64(w.successful))
	}
	if refused := w.Refused(); refused != nil || (*Watcher)(nil).Refused() != nil {
		t.Errorf("refused %v", refused)
	}
}
