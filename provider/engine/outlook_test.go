package engine_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
)

// outlook mounts a class and returns after how long it is due, and what stands in.
func (b *bench) outlook(t *testing.T, class string) (after time.Duration, stale int) {
	t.Helper()
	var o engine.Outlook
	if _, err := b.Mount(context.Background(), engine.Request{Dialect: "test", Parameters: map[string]string{"class": class}, Identity: web, Outlook: &o}); err != nil {
		t.Fatal(err)
	}
	return time.Until(o.Due), o.Stale
}

// Who mounts again when the outlook says finds that a read is made, and no earlier.
func TestTheOutlookSaysWhenAVolumeIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(c *config.Config) { c.Cache.Idle = 2 * time.Hour })
		b.memory.Put("a", "v")
		b.memory.Put("creds", "v")
		b.memory.Lease = func(ref store.Reference, _ int) *store.Lease {
			if ref.Key != "creds" {
				return nil
			}
			return &store.Lease{Duration: time.Hour, Expires: time.Now().Add(time.Hour)}
		}
		b.class("web", spec.Object{Path: "f", Key: "a"}, spec.Object{Path: "g", Key: "a", Refresh: time.Minute})
		b.class("creds", spec.Object{Path: "f", Key: "creds"})
		b.class("empty", spec.Object{Path: "f", Template: "x"})
		after, _ := b.outlook(t, "web")
		if after < 27*time.Second || after > 30*time.Second {
			t.Errorf("due after %v, want nine to ten tenths of 30s", after)
		}
		reads := b.memory.Total()
		time.Sleep(after - time.Millisecond)
		b.outlook(t, "web")
		if b.memory.Total() != reads {
			t.Error("it is read before it is due")
		}
		time.Sleep(time.Millisecond)
		b.outlook(t, "web")
		if b.memory.Total() == reads {
			t.Error("it is not read when it is due")
		}
		if after, _ := b.outlook(t, "creds"); after != 40*time.Minute {
			t.Errorf("a lease of an hour is due after %v", after)
		}
		if after, _ := b.outlook(t, "empty"); after != 2*time.Hour {
			t.Errorf("what never changes is due after %v", after)
		}
	})
}

func TestTheOutlookTellsOfValuesThatStandIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Put("a", "v")
		b.class("web", spec.Object{Path: "f", Key: "a"})
		if _, stale := b.outlook(t, "web"); stale != 0 {
			t.Errorf("%d values stand in", stale)
		}
		b.memory.Behave = unavailable
		time.Sleep(30 * time.Second)
		after, stale := b.outlook(t, "web")
		if stale != 1 || after < 5*time.Second || after > 15*time.Second {
			t.Errorf("%d values stand in, tried again after %v", stale, after)
		}
		b.memory.Behave = nil
		time.Sleep(after)
		if _, stale := b.outlook(t, "web"); stale != 0 {
			t.Errorf("%d values stand in after the outage", stale)
		}
	})
}
