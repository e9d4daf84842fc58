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
)

const mib = 1 << 20

// large makes a class of so many values of one MiB, less what a message has beside them.
func (b *bench) large(class string, values int) {
	objects := make([]spec.Object, values)
	for i := range objects {
		key := fmt.Sprint(class, i)
		b.memory.Put(key, strings.Repeat("x", mib-64<<10))
		objects[i] = spec.Object{Path: fmt.Sprint(i), Key: key}
	}
	b.class(class, objects...)
}

func request(class string, as identity.Identity) engine.Request {
	return engine.Request{Dialect: "test", Parameters: map[string]string{"class": class}, Identity: as, Delivery: new(engine.Delivery)}
}

// Each pod's service account has values of its own, which the cache cannot hold, and
// the driver takes its time.
func TestManyLargeMountsStartWithinTheirMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.large("large", 4)
		var mounts sync.WaitGroup
		for i := range 70 {
			mounts.Go(func() {
				req := request("large", pod(fmt.Sprintf("shop/web%d", i), "p"))
				volume, err := b.Mount(t.Context(), req)
				if err != nil || len(volume.Files) != 4 {
					t.Errorf("pod %d: %v", i, err)
				}
				time.Sleep(time.Second)
				req.Delivery.Done()
			})
		}
		mounts.Wait()
		if taken, limit := b.taken.Load(), int64(b.config.Bounds.Memory); taken > limit/2 || taken < limit/4 {
			t.Errorf("%d MiB were taken, want up to half of %d", taken/mib, limit/mib)
		}
	})
}

func TestMountsThatAreNotDeliveredLeaveMemoryToOtherNamespaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.large("large", 4)
		b.large("small", 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var taken []*engine.Delivery
		for i := 0; ; i++ {
			req := request("large", pod(fmt.Sprintf("greedy/web%d", i), "p"))
			if _, err := b.Mount(ctx, req); err != nil {
				wantError(t, err, fault.ErrUnavailable, "bounds.memory")
				break
			}
			taken = append(taken, req.Delivery)
		}
		began := time.Now()
		req := request("small", pod("shop/web", "p"))
		if _, err := b.Mount(t.Context(), req); err != nil || time.Since(began) > 0 {
			t.Errorf("another namespace waited %v: %v", time.Since(began), err)
		}
		req.Delivery.Done()
		for _, delivery := range taken {
			delivery.Done()
		}
		if _, err := b.Mount(t.Context(), request("large", pod("greedy/last", "p"))); err != nil {
			t.Error(err)
		}
	})
}

func TestAClassThatNeedsMoreMemoryThanThereIsSaysSo(t *testing.T) {
	b := start(t, func(c *config.Config) { c.Bounds.Memory = 16 * mib })
	b.large("large", 3)
	req := request("large", web)
	if _, err := b.Mount(t.Context(), req); err != nil {
		t.Error(err)
	}
	req.Delivery.Done()
	b.memory.Put("many", `{"many":[`+strings.Repeat("0,", mib)+`0],"one":"1"}`)
	b.class("many", spec.Object{Path: "one", Key: "many", Property: "one"})
	_, _, err := b.mount(web, "many")
	wantError(t, err, fault.ErrTooLarge, "bounds.memory")
	// What could not be had is not held.
	if _, err := b.Mount(t.Context(), request("large", web)); err != nil {
		t.Error(err)
	}
}

func TestAReadWithoutMemoryIsMadeForAnotherMountThatHasSome(t *testing.T) {
	b := start(t, func(c *config.Config) { c.Bounds.Memory = 16 * mib })
	b.large("large", 3)
	var mounts sync.WaitGroup
	for i := range 20 {
		mounts.Go(func() {
			if _, err := b.Mount(t.Context(), engine.Request{Dialect: "test", Parameters: map[string]string{"class": "large"}, Identity: pod("shop/web", fmt.Sprint("p", i))}); err != nil {
				t.Error(err)
			}
		})
	}
	mounts.Wait()
}
