package engine_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
)

func TestANamespaceWhoseStoreHangsLeavesRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(c *config.Config) { c.Bounds.Mounts = 8 })
		for _, key := range []string{"hangs", "cached", "other"} {
			b.memory.Put(key, "v")
			b.class(key, spec.Object{Path: "a", Key: key})
		}
		b.mustMount(t, web, "cached")
		b.memory.Behave = func(ctx context.Context, ref store.Reference) error {
			if ref.Key == "hangs" {
				<-ctx.Done()
				return fmt.Errorf("%w: hung", fault.ErrUnavailable)
			}
			return nil
		}
		var hung sync.WaitGroup
		for i := range 8 {
			hung.Go(func() {
				_, _, err := b.mount(pod(fmt.Sprintf("greedy/sa%d", i), "p"), "hangs")
				wantError(t, err, fault.ErrUnavailable)
			})
		}
		synctest.Wait()
		began := time.Now()
		b.mustMount(t, pod("greedy/web", "p"), "other")
		if waited := time.Since(began); waited == 0 {
			t.Error("the greedy namespace got more than bounds.mounts")
		}
		began = time.Now()
		b.mustMount(t, web, "cached")
		b.mustMount(t, api, "other")
		if waited := time.Since(began); waited > 0 {
			t.Errorf("another namespace waited %v", waited)
		}
		hung.Wait()
	})
}

// The leases of two roles at one store are of two connections.
func TestRenewalsThatHangLeaveRoomForThoseOfOtherConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		var mu sync.Mutex
		var hung, most, renewed int
		b.memory.Lease = func(ref store.Reference, _ int) *store.Lease {
			lease := func() *store.Lease { return &store.Lease{Duration: time.Hour, Expires: time.Now().Add(time.Hour)} }
			issued := lease()
			issued.Renew = func(ctx context.Context) (*store.Lease, error) {
				mu.Lock()
				if ref.Key == "answers" {
					renewed++
					mu.Unlock()
					return lease(), nil
				}
				hung++
				most = max(most, hung)
				mu.Unlock()
				<-ctx.Done()
				mu.Lock()
				hung--
				mu.Unlock()
				return nil, fmt.Errorf("%w: hung", fault.ErrUnavailable)
			}
			return issued
		}
		for _, key := range []string{"hangs", "answers"} {
			b.memory.Put(key, "v")
			b.classes[key] = &spec.Class{
				Stores:  map[string]map[string]any{"memory": {"role": key}},
				Objects: []spec.Object{{Path: "a", Store: "memory", Key: key}},
			}
		}
		poll := func() {
			for i := range 200 {
				b.mustMount(t, pod("prod/web", fmt.Sprint(i)), "hangs")
			}
			b.mustMount(t, api, "answers")
		}
		for begin := time.Now(); time.Since(begin) < 35*time.Minute; time.Sleep(80 * time.Second) {
			poll()
		}
		mu.Lock()
		defer mu.Unlock()
		if renewed == 0 || most != 8 {
			t.Errorf("%d renewals of the store that answers, %d at once of the one that hangs; want some, and 8", renewed, most)
		}
	})
}
