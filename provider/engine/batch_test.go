package engine_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
)

// batching is an engine over a store that reads twenty at once, with a class of
// so many objects.
func batching(t *testing.T, objects int) *bench {
	t.Helper()
	b := start(t, func(c *config.Config) { c.Stores = nil })
	b.memory.Batch = 20
	b.config.Stores = map[string]config.Store{"memory": {Type: "memory", Fields: map[string]any{"address": "batches"}}}
	if err := b.Configure(b.config); err != nil {
		t.Fatal(err)
	}
	var all []spec.Object
	for i := range objects {
		key := fmt.Sprintf("k%02d", i)
		b.memory.Put(key, "value of "+key)
		all = append(all, spec.Object{Path: key, Key: key})
	}
	b.class("web", all...)
	return b
}

func (b *bench) wantCalls(t *testing.T, want int) {
	t.Helper()
	if got := b.memory.Calls(); got != want {
		t.Errorf("the store was called %d times, want %d", got, want)
	}
}

func TestReadsThatMissGoOutTogether(t *testing.T) {
	for objects, calls := range map[int]int{1: 1, 20: 1, 21: 2, 60: 3} {
		t.Run(fmt.Sprint(objects), func(t *testing.T) {
			b := batching(t, objects)
			files, _ := b.mustMount(t, web, "web")
			for path, contents := range files {
				if contents != "value of "+path {
					t.Errorf("%s holds %q", path, contents)
				}
			}
			if len(files) != objects {
				t.Errorf("%d files, want %d", len(files), objects)
			}
			b.wantCalls(t, calls)
			b.wantReads(t, objects)
		})
	}
}

func TestWhatCannotBeBatchedIsReadBesideTheBatches(t *testing.T) {
	b := batching(t, 0)
	b.memory.Put("a", "1")
	b.memory.Put("b", "2")
	b.memory.Put("alone/c", "3")
	b.memory.Put("alone/d", "4")
	b.class("web", spec.Object{Path: "a", Key: "a"}, spec.Object{Path: "c", Key: "alone/c"},
		spec.Object{Path: "b", Key: "b"}, spec.Object{Path: "d", Key: "alone/d"})
	files, _ := b.mustMount(t, web, "web")
	if want := "map[a:1 b:2 c:3 d:4]"; fmt.Sprint(files) != want {
		t.Errorf("files = %v, want %s", files, want)
	}
	b.wantCalls(t, 3)
}

func TestManyPodsOfOneServiceAccountCostOneBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := batching(t, 20)
		b.memory.Behave = func(context.Context, store.Reference) error { time.Sleep(time.Millisecond); return nil }
		var all sync.WaitGroup
		for i := range 110 {
			all.Go(func() { b.mustMount(t, pod("prod/web", fmt.Sprint(i)), "web") })
		}
		all.Wait()
		b.wantCalls(t, 1)
	})
}

func TestARefreshOfUnchangedValuesCostsNoMoreThanTheFirstRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := batching(t, 60)
		b.classes["web"].Refresh = time.Hour
		for range 24 * 60 { // a day of polls
			b.mustMount(t, web, "web")
			time.Sleep(time.Minute)
		}
		// Jitter makes an interval of an hour up to a tenth shorter.
		if calls := b.memory.Calls(); calls > 3*24*60/54 {
			t.Errorf("%d calls in a day, want at most 3 in 54 minutes", calls)
		}
	})
}

func TestTwoServiceAccountsNeverShareABatch(t *testing.T) {
	b := batching(t, 20)
	b.memory.Deny("prod/api")
	var all sync.WaitGroup
	all.Go(func() { b.mustMount(t, web, "web") })
	all.Go(func() {
		_, _, err := b.mount(api, "web")
		wantError(t, err, fault.ErrDenied)
	})
	all.Wait()
	b.wantCalls(t, 2)
}

func TestOneFailureOfABatchIsItsObjectsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := batching(t, 20)
		b.memory.Delete("k03")
		b.memory.Behave = func(_ context.Context, ref store.Reference) error {
			if ref.Key == "k07" {
				return fmt.Errorf("%w: throttled", fault.ErrUnavailable)
			}
			return nil
		}
		_, _, err := b.mount(web, "web")
		wantError(t, err, fault.ErrNotFound, "2 of 20 objects failed", "object 4 (k03): ", "object 8 (k07): ")
		// What was read is not read again, and what failed is asked for together.
		b.memory.Put("k03", "now")
		b.memory.Behave = nil
		time.Sleep(4 * time.Second)
		b.wantFile(t, web, "web", "k03", "now")
		b.wantCalls(t, 2)
		b.wantReads(t, 22)
	})
}

func TestAnObjectOfABatchMayBeAbsent(t *testing.T) {
	b := batching(t, 0)
	b.memory.Put("a", "1")
	b.class("web", spec.Object{Path: "a", Key: "a"}, spec.Object{Path: "b", Key: "b", Optional: true})
	files, versions := b.mustMount(t, web, "web")
	if len(files) != 1 || versions["b"] != "absent" {
		t.Errorf("files %v, versions %v", files, versions)
	}
	b.wantCalls(t, 1)
}

func TestABatchThatPanicsOrTakesTooLongFailsAllOfItAndNoMore(t *testing.T) {
	for name, test := range map[string]struct {
		behave func(context.Context, store.Reference) error
		kind   error
	}{
		"panic":    {func(context.Context, store.Reference) error { panic("planted-value") }, fault.ErrInternal},
		"too slow": {func(ctx context.Context, _ store.Reference) error { <-ctx.Done(); return ctx.Err() }, fault.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := batching(t, 20)
				b.memory.Behave = test.behave
				_, _, err := b.mount(web, "web")
				wantError(t, err, test.kind, "20 of 20 objects failed")
				if strings.Contains(err.Error(), "planted") {
					t.Errorf("error %q shows what the panic said", err)
				}
				b.memory.Behave = nil
				time.Sleep(20 * time.Second)
				b.mustMount(t, web, "web")
			})
		})
	}
}

func TestABatchIsOneCallOfThoseThatMayBeInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := batching(t, 200)
		b.config.Bounds.StoreCalls = 2
		if err := b.Configure(b.config); err != nil {
			t.Fatal(err)
		}
		b.memory.Behave = func(context.Context, store.Reference) error { time.Sleep(time.Millisecond); return nil }
		b.mustMount(t, web, "web")
		b.wantCalls(t, 10)
		if got := b.memory.MaxInFlight(); got != 2 {
			t.Errorf("%d calls in flight, want 2", got)
		}
	})
}

// sizeless is a store that cannot say how much it reads at once.
type sizeless struct{ *Memory }

func (s sizeless) Open(settings store.Settings) (store.Store, error) {
	opened, err := s.Memory.Open(settings)
	if err != nil {
		return nil, err
	}
	return sizelessStore{opened}, nil
}

type sizelessStore struct{ store.Store }

func (sizelessStore) BatchSize(identity.Identity, store.Reference) int { panic("planted-value") }

func (sizelessStore) ReadBatch(context.Context, identity.Identity, []store.Reference) []store.Result {
	panic("planted-value")
}

func TestAStoreThatPanicsBeforeAReadLeavesNobodyWaiting(t *testing.T) {
	memory := NewMemory()
	memory.Put("a", "v")
	cfg := config.Default()
	cfg.Stores = map[string]config.Store{"memory": {Type: "memory"}}
	eng, err := engine.New(engine.Options{
		Config: cfg, Types: []store.Type{sizeless{memory}}, Calls: remote.NewCalls(1), Metrics: prometheus.NewRegistry(),
		Dialects: map[string]spec.Dialect{"test": func(map[string]string) (*spec.Class, error) {
			return &spec.Class{Objects: []spec.Object{{Path: "a", Store: "memory", Key: "a"}}}, nil
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(eng.Close)
	volume, err := eng.Mount(t.Context(), engine.Request{Dialect: "test", Identity: web})
	if err != nil || string(volume.Files[0].Contents) != "v" {
		t.Errorf("%v, want what is read alone", err)
	}
}
