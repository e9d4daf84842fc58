package engine_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
)

// hang lets the reads of keys with the prefix end with their time.
func hang(prefix string) func(context.Context, store.Reference) error {
	return func(ctx context.Context, ref store.Reference) error {
		if !strings.HasPrefix(ref.Key, prefix) {
			return nil
		}
		<-ctx.Done()
		return fmt.Errorf("%w: hung", fault.ErrUnavailable)
	}
}

func TestWhatStandsInIsServedWhenReadsHangPastTheMountsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(c *config.Config) { c.Bounds.StoreCalls = 1 })
		var objects []spec.Object
		for i := range 5 { // one after the other, 30 seconds each
			key := fmt.Sprint("a", i)
			b.memory.Put(key, "v")
			objects = append(objects, spec.Object{Path: key, Key: key})
		}
		b.class("web", objects...)
		b.class("new", append(objects, spec.Object{Path: "all", Template: `{{ .a0 }}{{ .a4 }}`})...)
		b.mustMount(t, web, "web")
		b.memory.Behave = hang("a")
		time.Sleep(3 * time.Minute)
		b.wantFile(t, web, "web", "a4", "v")
		time.Sleep(3 * time.Minute)
		b.wantFile(t, web, "new", "all", "vv") // it is made in the rest of the time
	})
}

// oneTurn lets one mount at a time ask a store with two values, of which web holds
// one.
func oneTurn(t *testing.T) *bench {
	t.Helper()
	b := start(t, func(c *config.Config) { c.Bounds.Mounts = 1 })
	for _, key := range []string{"hangs", "a"} {
		b.memory.Put(key, "v")
		b.class(key, spec.Object{Path: "a", Key: key})
	}
	b.mustMount(t, web, "a")
	return b
}

func TestWhatStandsInIsServedToWhoGetsNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := oneTurn(t)
		b.memory.Behave = hang("hangs")
		time.Sleep(3 * time.Minute)
		var hung sync.WaitGroup
		hung.Go(func() {
			_, _, err := b.mount(api, "hangs")
			wantError(t, err, fault.ErrUnavailable)
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		mount := func(as identity.Identity) (*engine.Volume, error) {
			return b.Mount(ctx, engine.Request{Dialect: "test", Parameters: map[string]string{"class": "a"}, Identity: as})
		}
		if volume, err := mount(web); err != nil || string(volume.Files[0].Contents) != "v" {
			t.Errorf("no value stands in: %v", err)
		}
		_, err := mount(api) // of which nothing is held
		wantError(t, err, fault.ErrUnavailable, "timed out in the queue")
		hung.Wait()
	})
}

func TestWhatStandsInAfterAFailureNeedsNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := oneTurn(t)
		time.Sleep(3 * time.Minute)
		b.memory.Behave = unavailable
		b.mustMount(t, web, "a") // fails, and is not tried again for some seconds
		b.memory.Behave = hang("hangs")
		var hung sync.WaitGroup
		hung.Go(func() {
			_, _, err := b.mount(api, "hangs")
			wantError(t, err, fault.ErrUnavailable)
		})
		synctest.Wait()
		began := time.Now()
		b.mustMount(t, web, "a")
		if waited := time.Since(began); waited > 0 {
			t.Errorf("waited %v", waited)
		}
		hung.Wait()
	})
}

// Where the driver does not poll, nobody asks for a value between the start of a
// pod and that of the next.
func TestAValueIsKeptForAsLongAsItMayStandInThoughNobodyAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(c *config.Config) { c.Cache.StaleOnError = 2 * time.Hour })
		b.memory.Put("a", "v")
		b.class("web", spec.Object{Path: "a", Key: "a"})
		b.mustMount(t, web, "web")
		b.memory.Behave = unavailable
		time.Sleep(2 * time.Hour)
		b.wantFile(t, pod("prod/web", "new"), "web", "a", "v")
		time.Sleep(30 * time.Minute)
		if entries := gauge(t, b.registry, "lanyard_cache_entries"); entries != 0 {
			t.Errorf("%v values are kept that may not be served any more", entries)
		}
	})
}

func TestALeaseIsNotKeptForAPodThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(c *config.Config) { c.Cache.StaleOnError = 24 * time.Hour })
		b.memory.Lease = func(store.Reference, int) *store.Lease {
			return &store.Lease{Duration: 12 * time.Hour, Expires: time.Now().Add(12 * time.Hour)}
		}
		b.memory.Put("a", "v")
		b.class("web", spec.Object{Path: "a", Key: "a"})
		b.mustMount(t, web, "web")
		time.Sleep(15 * time.Minute)
		if leases, bytes := gauge(t, b.registry, "lanyard_leases"), gauge(t, b.registry, "lanyard_cache_bytes"); leases != 0 || bytes != 0 {
			t.Errorf("%v leases and %v bytes are kept", leases, bytes)
		}
	})
}

func TestTheCallerHearsTheReasonBeforeItsTimeIsOver(t *testing.T) {
	for _, limit := range []time.Duration{time.Second, time.Minute, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			b := start(t, nil)
			b.memory.Put("k", "v")
			b.memory.Behave = func(ctx context.Context, _ store.Reference) error { <-ctx.Done(); return ctx.Err() }
			b.class("web", spec.Object{Path: "p", Key: "k"})
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			_, err := b.Mount(ctx, engine.Request{Dialect: "test", Parameters: map[string]string{"class": "web"}, Identity: web})
			wantError(t, err, fault.ErrUnavailable)
			if ctx.Err() != nil {
				t.Errorf("the caller gave up after %v, before it had the reason", limit)
			}
		})
	}
}
