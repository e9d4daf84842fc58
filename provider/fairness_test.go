package provider_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanyardhq/lanyard/provider"
	"github.com/lanyardhq/lanyard/provider/store"
)

func TestANamespaceWhoseStoreHangsLeavesRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(c *provider.Config) { c.Bounds.Mounts = 8 })
		for _, key := range []string{"hangs", "cached", "other"} {
			b.memory.Put(key, "v")
			b.class(key, provider.Object{Path: "a", Key: key})
		}
		b.mustMount(t, web, "cached")
		b.memory.Behave = func(ctx context.Context, ref store.Reference) error {
			if ref.Key == "hangs" {
				<-ctx.Done()
				return fmt.Errorf("%w: hung", store.ErrUnavailable)
			}
			return nil
		}
		var hung sync.WaitGroup
		for i := range 8 {
			hung.Go(func() {
				_, _, err := b.mount(pod(fmt.Sprintf("greedy/sa%d", i), "p"), "hangs")
				wantError(t, err, store.ErrUnavailable)
			})
		}
		synctest.Wait()
		began := time.Now()
		b.mustMount(t, pod("greedy/web", "p"), "other")
		if waited := time.Since(began); waited == 0 {
			t.Error("the greedy namespace took more than its half")
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
