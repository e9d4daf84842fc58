package kube

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/lanyardhq/lanyard/provider/identity"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// However many pods a node has seen, and however many ask at once, the tokens
// in memory and the requests in flight keep to their bounds.
func TestKeepsToItsBounds(t *testing.T) {
	var flying, most atomic.Int64
	issue := roundTripper(func(*http.Request) (*http.Response, error) {
		now := flying.Add(1)
		defer flying.Add(-1)
		for {
			seen := most.Load()
			if now <= seen || most.CompareAndSwap(seen, now) {
				break
			}
		}
		return &http.Response{StatusCode: http.StatusCreated, Body: io.NopCloser(strings.NewReader(`{"spec":{"expirationSeconds":600},"status":{"token":"x"}}`))}, nil
	})
	var clock atomic.Int64
	tokens := New(Options{
		Config:  func() (*rest.Config, error) { return &rest.Config{Host: "http://api", Transport: issue}, nil },
		Enabled: func() bool { return true },
		Now:     func() time.Time { return time.Unix(clock.Load(), 0) },
	})
	defer tokens.Close()
	ask := func(pod int) {
		id := identity.Identity{Namespace: "prod", ServiceAccount: "web", Pod: "web", PodUID: fmt.Sprint(pod)}
		if _, err := tokens.Token(t.Context(), id, "vault"); err != nil {
			t.Error(err)
		}
	}
	kept := func() int {
		tokens.mu.Lock()
		defer tokens.mu.Unlock()
		return len(tokens.cached)
	}
	var callers sync.WaitGroup
	for first := range 8 {
		callers.Go(func() {
			for pod := first; pod < maxCached+500; pod += 8 {
				ask(pod)
			}
		})
	}
	callers.Wait()
	if kept() > maxCached {
		t.Errorf("%d tokens are kept, more than %d", kept(), maxCached)
	}
	if most.Load() > maxCalls {
		t.Errorf("%d requests were in flight, more than %d", most.Load(), maxCalls)
	}
	// What is over goes first, and all of it.
	clock.Add(int64(lifetime / time.Second))
	for pod := range 10 {
		ask(-1 - pod)
	}
	if kept() > 10 {
		t.Errorf("%d tokens are kept after all but 10 are over", kept())
	}
}
