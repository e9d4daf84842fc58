package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
)

// hangs makes reads of these keys wait until their time is over.
func (b *bench) hangs(keys ...string) {
	b.memory.Behave = func(ctx context.Context, ref store.Reference) error {
		if slices.Contains(keys, ref.Key) {
			<-ctx.Done()
			return fmt.Errorf("%w: hung", fault.ErrUnavailable)
		}
		return nil
	}
}

func TestNamespacesWhoseStoresHangLeaveRoomForOthers(t *testing.T) {
	for _, namespaces := range []int{1, 2, 3, 30} {
		t.Run(fmt.Sprint(namespaces), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, func(c *config.Config) { c.Bounds.Mounts = 8 })
				for _, key := range []string{"hangs", "cached", "other"} {
					b.memory.Put(key, "v")
					b.class(key, spec.Object{Path: "a", Key: key})
				}
				b.mustMount(t, web, "cached")
				b.hangs("hangs")
				var hung sync.WaitGroup
				for namespace := range namespaces {
					for i := range 8 {
						hung.Go(func() {
							_, _, err := b.mount(pod(fmt.Sprintf("greedy%d/sa%d", namespace, i), "p"), "hangs")
							wantError(t, err, fault.ErrUnavailable)
						})
					}
				}
				synctest.Wait()
				began := time.Now()
				b.mustMount(t, web, "cached")
				b.mustMount(t, api, "other")
				if waited := time.Since(began); waited > 0 {
					t.Errorf("another namespace waited %v", waited)
				}
				b.mustMount(t, pod("greedy0/web", "p"), "other")
				if waited := time.Since(began); waited == 0 {
					t.Error("a greedy namespace got more than bounds.mounts")
				}
				hung.Wait()
			})
		})
	}
}

// A mount of many objects begins many reads, and mounts that are over leave theirs
// behind until the read timeout.
func TestReadsThatHangLeaveRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		objects := make([]spec.Object, 100)
		keys := make([]string, len(objects))
		for i := range objects {
			keys[i] = fmt.Sprint("hangs", i)
			objects[i] = spec.Object{Path: fmt.Sprint(i), Key: keys[i]}
			b.memory.Put(keys[i], "v")
		}
		b.class("hangs", objects...)
		b.memory.Put("a", "v")
		b.class("web", spec.Object{Path: "a", Key: "a"})
		b.hangs(keys...)
		var hung sync.WaitGroup
		for i := range 100 {
			hung.Go(func() {
				_, _, err := b.mount(pod(fmt.Sprintf("greedy%d/web%d", i%3, i), "p"), "hangs")
				wantError(t, err, fault.ErrUnavailable)
			})
		}
		synctest.Wait()
		if flying := b.memory.MaxInFlight(); flying < 4*64 || flying > 4*64+3*8 {
			t.Errorf("%d reads are in flight at once, want four times bounds.storeCalls and guarantees", flying)
		}
		began := time.Now()
		b.mustMount(t, web, "web")
		if waited := time.Since(began); waited > 0 {
			t.Errorf("another namespace waited %v", waited)
		}
		hung.Wait()
	})
}

func TestWorkOfNamespacesLeavesRoomForOthers(t *testing.T) {
	for _, namespaces := range []int{1, 12, 110} {
		t.Run(fmt.Sprint(namespaces), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, nil)
				b.MeasureWaiting()
				ctx, cancel := context.WithCancel(t.Context())
				var all sync.WaitGroup
				for i := range 220 {
					all.Go(func() { b.Work(ctx, fmt.Sprint("greedy", i%namespaces), 100*time.Millisecond) })
				}
				time.Sleep(time.Minute)
				b.class("web", spec.Object{Path: "a", Template: "text"})
				began := time.Now()
				b.mustMount(t, web, "web")
				// It waits once for its plan and once for its volume.
				if waited := time.Since(began); waited > 200*time.Millisecond {
					t.Errorf("another namespace waited %v, which is more than two steps", waited)
				}
				cancel()
				all.Wait()
			})
		})
	}
}

func TestAClassThatFailedIsNotMadeAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.class("wrong", spec.Object{Path: "a", Key: "a", Property: "a["})
		var made []time.Duration
		for began := time.Now(); time.Since(began) < 5*time.Minute; time.Sleep(time.Second) {
			before := b.parsed.Load()
			_, _, err := b.mount(web, "wrong")
			wantError(t, err, fault.ErrInvalid, "object 1 (a): property: not a JMESPath expression")
			if b.parsed.Load() > before {
				made = append(made, time.Since(began))
			}
		}
		want := []time.Duration{0, 5 * time.Second, 15 * time.Second, 35 * time.Second, 75 * time.Second, 150 * time.Second, 225 * time.Second}
		if !slices.Equal(made, want) {
			t.Errorf("the class was made at %v, want at %v", made, want)
		}
		b.class("other", spec.Object{Path: "a", Template: "text"})
		b.mustMount(t, web, "other") // which is another plan
	})
}

func TestAVolumeThatFailedIsMadeAgainWhenItsValuesAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Put("a", "v")
		b.class("web", spec.Object{Path: "a", Key: "a"}, spec.Object{Path: "t", Template: "{{ fromJson .a }}"})
		for range 10 {
			_, _, err := b.mount(web, "web")
			wantError(t, err, fault.ErrInvalid, "object 2 (t)")
		}
		spared := func() float64 { return labelled(t, b, "lanyard_failures_remembered_total", "volume") }
		if got := spared(); got != 9 {
			t.Errorf("%v of 10 mounts were spared, want all but the first", got)
		}
		b.memory.Put("a", `"good"`)
		time.Sleep(6 * time.Second)
		b.wantFile(t, web, "web", "t", "good")
		if got := spared(); got != 9 {
			t.Errorf("%v mounts were spared, want no more", got)
		}

		// What is made of no value fails in the same way until the pause is over.
		b.class("plain", spec.Object{Path: "t", Template: `{{ fromJson "x" }}`})
		for range 3 {
			_, _, err := b.mount(web, "plain")
			wantError(t, err, fault.ErrInvalid, "object 1 (t)")
		}
		if got := spared(); got != 11 {
			t.Errorf("%v mounts were spared, want two more", got-9)
		}
	})
}

func TestAValueStandsInForAMountThatGetsNoMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Put("a", "v")
		b.class("web", spec.Object{Path: "a", Key: "a"})
		b.mustMount(t, web, "web")
		time.Sleep(3 * time.Minute)
		b.HoldMemory("prod")
		b.wantFile(t, web, "web", "a", "v")
		b.wantReads(t, 1)
		_, _, err := b.mount(api, "web")
		wantError(t, err, fault.ErrUnavailable, "timed out waiting for memory")
	})
}

// Each takes half of what those before have left.
func TestNamespacesThatTakeAllMemoryLeaveSomeToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Put("a", strings.Repeat("x", 100<<10))
		b.class("web", spec.Object{Path: "a", Key: "a"})
		for i := range 110 {
			b.HoldMemory(fmt.Sprint("greedy", i))
		}
		began := time.Now()
		for i := range 5 {
			b.mustMount(t, pod("prod/web", fmt.Sprint(i)), "web")
		}
		if waited := time.Since(began); waited > 0 {
			t.Errorf("another namespace waited %v", waited)
		}
	})
}

// Each of an attacker's stores is a connection of its own.
func TestManyRenewalsThatHangDoNotDelayThoseOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		var renewed []time.Duration
		began := time.Now()
		b.memory.Lease = func(ref store.Reference, _ int) *store.Lease {
			lease := &store.Lease{Duration: time.Minute, Expires: time.Now().Add(time.Minute)}
			lease.Renew = func(ctx context.Context) (*store.Lease, error) {
				if ref.Key == "hangs" {
					<-ctx.Done()
					return nil, fmt.Errorf("%w: hung", fault.ErrUnavailable)
				}
				renewed = append(renewed, time.Since(began).Truncate(time.Second))
				return &store.Lease{Duration: time.Minute, Expires: time.Now().Add(time.Minute), Renew: lease.Renew}, nil
			}
			return lease
		}
		b.memory.Put("hangs", "v")
		b.memory.Put("answers", "v")
		for i := range 64 {
			b.classes[fmt.Sprint("hangs", i)] = &spec.Class{
				Stores:  map[string]map[string]any{"own": {"type": "memory", "address": fmt.Sprint(i)}},
				Objects: []spec.Object{{Path: "a", Store: "own", Key: "hangs"}},
			}
		}
		for i := range 1000 {
			b.mustMount(t, pod(fmt.Sprintf("greedy%d/web", i%20), fmt.Sprint(i)), fmt.Sprint("hangs", i%64))
		}
		b.class("answers", spec.Object{Path: "a", Key: "answers"})
		b.mustMount(t, web, "answers")
		time.Sleep(70 * time.Second)
		synctest.Wait()
		// At a third of its life, less at most a sixtieth of it and the second of a tick.
		for i := range 3 {
			at := time.Duration(i+1) * 20 * time.Second
			if len(renewed) <= i || renewed[i] < at-time.Duration(i+1)*2*time.Second || renewed[i] > at+time.Duration(i+1)*2*time.Second {
				t.Fatalf("renewed at %v, want about 20 s after each other", renewed)
			}
		}
		if held := labelled(t, b, "lanyard_share_held", "renewals"); held < 64 || held > 64+20*4 {
			t.Errorf("%v renewals hang", held)
		}
	})
}

// What a namespace puts into the cache beyond its share takes the place of its own.
func TestAFullCacheEvictsFromTheNamespaceThatTakesTheMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(c *config.Config) { c.Cache.Bytes = 4 << 20 })
		b.memory.Lease = func(ref store.Reference, _ int) *store.Lease {
			if ref.Key == "large" || ref.Key == "creds" {
				return &store.Lease{Duration: time.Hour, Expires: time.Now().Add(time.Hour)}
			}
			return nil
		}
		b.memory.Put("creds", "user")
		b.memory.Put("stands in", strings.Repeat("x", 100<<10))
		b.memory.Put("large", strings.Repeat("x", 1<<20))
		b.class("victim", spec.Object{Path: "a", Key: "creds"}, spec.Object{Path: "b", Key: "stands in"})
		b.class("large", spec.Object{Path: "a", Key: "large"})
		first, _ := b.mustMount(t, web, "victim")
		for i := range 20 {
			b.mustMount(t, pod(fmt.Sprintf("greedy%d/web", i%2), fmt.Sprint(i)), "large")
			if again, _ := b.mustMount(t, web, "victim"); again["a"] != first["a"] {
				t.Fatal("another namespace's credential was issued anew")
			}
			time.Sleep(time.Second)
		}
		if reads := b.memory.Reads(); reads["creds"] != 1 || reads["stands in"] != 1 {
			t.Errorf("reads of the other namespace: %v", reads)
		}
		// One of two greedy namespaces does not take the other's place either.
		if leased := gauge(t, b.registry, "lanyard_leases"); leased != 1+3 {
			t.Errorf("%v leases are left of 21, want the victim's and three large ones", leased)
		}
	})
}

func TestANamespaceAloneUsesTheWholeCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(c *config.Config) { c.Cache.Bytes = 4 << 20 })
		for i := range 30 {
			key := fmt.Sprint(i)
			b.memory.Put(key, strings.Repeat("x", 128<<10))
			b.class(key, spec.Object{Path: "a", Key: key})
			b.mustMount(t, web, key)
		}
		if evictions := evicted(t, b, "value"); evictions != 0 {
			t.Errorf("%v values of 30 that the cache has room for were evicted", evictions)
		}
	})
}

// Closing connections to stores that do not answer takes long; the leases of all are
// renewed meanwhile.
func TestConnectionsThatHangWhileTheyCloseKeepNothingWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		memory := &hangsToClose{Memory: NewMemory(), until: hang}
		b := startWith(t, memory, memory.Memory, nil)
		renewed := 0
		memory.Lease = func(store.Reference, int) *store.Lease {
			return Renewable(time.Now, time.Minute, time.Hour, func() { renewed++ })
		}
		memory.Put("a", "v")
		b.class("web", spec.Object{Path: "a", Key: "a"})
		for generation := range 20 {
			class := manyStores(60, generation)
			class.Objects[0].Key = "" // the class is refused, its stores have been opened
			b.classes[fmt.Sprint(generation)] = class
			_, _, err := b.mount(pod("greedy/web", "p"), fmt.Sprint(generation))
			wantError(t, err, fault.ErrInvalid)
		}
		// One of another namespace's is not among those that are too many.
		class := manyStores(1, 20)
		class.Objects[0].Key = ""
		b.classes["one"] = class
		_, _, err := b.mount(api, "one")
		wantError(t, err, fault.ErrInvalid)
		for range 20 {
			b.mustMount(t, web, "web")
			time.Sleep(15 * time.Second)
		}
		synctest.Wait()
		if renewed < 10 {
			t.Errorf("%d renewals in five minutes of a lease of one minute", renewed)
		}
		if held := labelled(t, b, "lanyard_share_held", "closing"); held != 64 {
			t.Errorf("%v connections are being closed, want 64", held)
		}
		close(hang)
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
