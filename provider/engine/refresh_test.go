package engine_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
)

func TestRefreshHasValuesReadAgainAndKeepsLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Lease = func(ref store.Reference, _ int) *store.Lease {
			if ref.Key != "creds" {
				return nil
			}
			return &store.Lease{Duration: time.Hour, Expires: time.Now().Add(time.Hour)}
		}
		for _, key := range []string{"a", "creds"} {
			b.memory.Put(key, "one")
			b.class(key, spec.Object{Path: "f", Key: key, Refresh: time.Hour})
			b.mustMount(t, web, key)
			b.memory.Put(key, "two")
		}
		b.mustMount(t, web, "a")
		b.wantReads(t, 2)
		b.Refresh()
		b.wantFile(t, web, "a", "f", "two")
		b.wantFile(t, web, "a", "f", "two")
		b.wantFile(t, web, "creds", "f", "one issue 1")
		b.wantReads(t, 3)
	})
}

func TestWhatIsRefreshedStandsInWhileItsStoreIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Put("a", "v")
		b.class("web", spec.Object{Path: "f", Key: "a"})
		b.mustMount(t, web, "web")
		b.memory.Behave = unavailable
		b.Refresh()
		b.wantFile(t, web, "web", "f", "v")
		b.memory.Behave = nil
		b.memory.Put("a", "w")
		b.Refresh() // it ends the pause after the failure too
		b.wantFile(t, web, "web", "f", "w")
	})
}

func TestAReadThatBeganBeforeARefreshDoesNotCountAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Put("a", "v")
		b.memory.Behave = func(context.Context, store.Reference) error { time.Sleep(time.Second); return nil }
		b.class("web", spec.Object{Path: "f", Key: "a"})
		var mounts sync.WaitGroup
		mounts.Go(func() { b.mustMount(t, web, "web") })
		synctest.Wait()
		b.Refresh()
		mounts.Wait()
		b.mustMount(t, web, "web")
		b.wantReads(t, 2)
	})
}

func TestVersionsThatNeverChangeAreReadOnceAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(c *config.Config) { c.Cache.StaleOnError = 10 * time.Minute })
		b.memory.Put("a", "v")
		b.class("pinned", spec.Object{Path: "f", Key: "a", Version: "1"})
		b.class("own", spec.Object{Path: "f", Key: "a", Version: "1", Refresh: 10 * time.Minute})
		poll := func(class string, times, want int) {
			t.Helper()
			before := b.memory.Total()
			for range times {
				b.wantFile(t, web, class, "f", "v")
				time.Sleep(time.Minute)
			}
			if got := b.memory.Total() - before; got > want {
				t.Errorf("%s: %d reads in %d minutes, want at most %d", class, got, times, want)
			}
		}
		// Jitter makes an interval up to a tenth shorter.
		poll("pinned", 24*60, 27)
		poll("own", 60, 7)

		// A pod that starts later takes the value from memory too.
		b.wantFile(t, api, "pinned", "f", "v")
		before := b.memory.Total()
		b.mustMount(t, pod("prod/api", "another"), "pinned")
		b.wantReads(t, before)

		// What is gone, or refused, is found by the next read.
		b.memory.Delete("a")
		b.wantFile(t, web, "pinned", "f", "v")
		time.Sleep(store.PinnedRefresh)
		_, _, err := b.mount(web, "pinned")
		wantError(t, err, fault.ErrNotFound)
	})
}
