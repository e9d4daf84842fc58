package share_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/lanyardhq/lanyard/provider/share"
)

// acquire takes units that the tenant must get at once.
func acquire(t *testing.T, p *share.Pool, tenant string, units int64) *share.Held {
	t.Helper()
	h, ok := p.TryAcquire(tenant, units)
	if !ok {
		t.Fatalf("%s did not get %d units", tenant, units)
	}
	return h
}

// fill takes single units until the tenant gets no more, and returns how many it has.
func fill(p *share.Pool, tenant string) (units int64) {
	for {
		if _, ok := p.TryAcquire(tenant, 1); !ok {
			return units
		}
		units++
	}
}

// wait begins to wait for units and notes the tenant in order when it gets them.
func wait(t *testing.T, p *share.Pool, tenant string, units int64, order *[]string) {
	t.Helper()
	var mu sync.Mutex
	go func() {
		if _, err := p.Acquire(t.Context(), tenant, units); err == nil {
			mu.Lock()
			defer mu.Unlock()
			*order = append(*order, tenant)
		}
	}()
	synctest.Wait()
}

func TestTheTenantOfAContext(t *testing.T) {
	if got := share.Of(t.Context()); got != "" {
		t.Errorf("tenant %q of a context without one", got)
	}
	if got := share.Of(share.With(t.Context(), "prod")); got != "prod" {
		t.Errorf("tenant %q, want prod", got)
	}
}

func TestATenantAloneGetsEverything(t *testing.T) {
	if got := fill(share.New(nil, share.Limits{Capacity: 64, Guarantee: 4}), "a"); got != 64 {
		t.Errorf("got %d units of 64", got)
	}
	if got := fill(share.New(nil, share.Limits{Capacity: 64, KeepFree: true}), "a"); got != 32 {
		t.Errorf("where a tenant keeps something free, it got %d units of 64; want half", got)
	}
}

// The holders never give anything back: a newcomer must not depend on it.
func TestEachTenantGetsItsGuaranteeThoughOthersHoldAll(t *testing.T) {
	p := share.New(nil, share.Limits{Capacity: 64, Guarantee: 4})
	fill(p, "first")
	for i := range 110 {
		if got := fill(p, fmt.Sprint("late", i)); got != 4 {
			t.Fatalf("tenant %d got %d units, want its guarantee of 4", i, got)
		}
	}
}

// As long as holders come and go, the capacity holds for all.
func TestTheGuaranteeMayWaitForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := share.New(nil, share.Limits{Capacity: 8, Guarantee: 4, Patience: time.Second})
		var now, most int
		var mu sync.Mutex
		count := func(n int) {
			mu.Lock()
			defer mu.Unlock()
			now += n
			most = max(most, now)
		}
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				h, err := p.Acquire(t.Context(), fmt.Sprint("t", i%10), 1)
				if err != nil {
					t.Error(err)
					return
				}
				count(1)
				time.Sleep(100 * time.Millisecond)
				count(-1)
				h.Release()
			})
		}
		all.Wait()
		if most != 8 {
			t.Errorf("%d units were held at once, want 8", most)
		}

		fill(p, "hangs")
		began := time.Now()
		var held []*share.Held
		take := func() {
			h, err := p.Acquire(t.Context(), "other", 1)
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, h)
		}
		for range 4 {
			take()
		}
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("waited %v for the guarantee, want a second once", waited)
		}
		held[0].Release()
		take()
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("waited %v, want no more while the tenant holds units", waited-time.Second)
		}
	})
}

func TestSomethingIsKeptFreeForTheNextTenant(t *testing.T) {
	p := share.New(nil, share.Limits{Capacity: 1 << 20, KeepFree: true})
	for i, want := range []int64{1 << 19, 1 << 18, 1 << 17, 1 << 16} {
		if got := fill(p, fmt.Sprint(i)); got != want {
			t.Errorf("tenant %d got %d units, want %d", i, got, want)
		}
	}
}

func TestAFreedUnitGoesToTheTenantThatHoldsTheFewest(t *testing.T) {
	for _, tenants := range []int{1, 2, 3, 110} {
		t.Run(fmt.Sprint(tenants), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				capacity := 330
				p := share.New(nil, share.Limits{Capacity: int64(capacity)})
				var mu sync.Mutex
				var holders []*share.Held
				held := map[string]int{}
				// The first has everything before the others come, and all want all.
				for i := range tenants {
					name := fmt.Sprint("t", i)
					for range max(capacity/tenants+3, capacity/(i*i+1)) {
						go func() {
							h, err := p.Acquire(t.Context(), name, 1)
							if err != nil {
								return
							}
							mu.Lock()
							defer mu.Unlock()
							holders = append(holders, h)
							held[name]++
						}()
					}
					synctest.Wait()
				}
				// t0 gives back what it has above its equal share, one at a time.
				for range capacity - capacity/tenants {
					mu.Lock()
					holders[0].Release()
					holders = holders[1:]
					held["t0"]--
					mu.Unlock()
					synctest.Wait()
				}
				for name, units := range held {
					if units != capacity/tenants {
						t.Errorf("%s holds %d units; the equal share is %d", name, units, capacity/tenants)
					}
				}
				if len(held) != tenants {
					t.Errorf("%d tenants of %d have units", len(held), tenants)
				}
			})
		})
	}
}

// One has had units for a while when both come for the only one.
func TestOfEqualTenantsTheOneThatHadTheLeastComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := share.New(nil, share.Limits{Capacity: 1})
		h := acquire(t, p, "often", 1)
		time.Sleep(5 * time.Second)
		h.Release()
		h = acquire(t, p, "other", 1)
		var order []string
		wait(t, p, "often", 1, &order)
		wait(t, p, "seldom", 1, &order)
		h.Release()
		synctest.Wait()
		if !slices.Equal(order, []string{"seldom"}) {
			t.Errorf("order %v", order)
		}
	})
}

// Work in slices: each holder yields after 10 ms of it.
func TestWhoYieldsLetsOthersHaveTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := share.New(nil, share.Limits{Capacity: 2})
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		var mu sync.Mutex
		slices := map[string]int{}
		for i := range 60 {
			name := fmt.Sprint("t", i%12%5) // of which some have more at work than others
			all.Go(func() {
				h, err := p.Acquire(ctx, name, 1)
				if err != nil {
					t.Error(err)
					return
				}
				for ctx.Err() == nil {
					time.Sleep(10 * time.Millisecond)
					mu.Lock()
					slices[name]++
					mu.Unlock()
					if err := h.Yield(ctx); err != nil {
						return
					}
				}
				h.Release()
			})
		}
		time.Sleep(10 * time.Second)
		began := time.Now()
		h, err := p.Acquire(ctx, "late", 1)
		if err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited > 10*time.Millisecond {
			t.Errorf("who had nothing yet waited %v, which is more than a slice", waited)
		}
		if err := h.Yield(ctx); err != nil {
			t.Error(err)
		}
		h.Release()
		cancel()
		all.Wait()
		for name, n := range slices {
			if n < 390 || n > 410 {
				t.Errorf("%s had %d slices of about 2000 that five share", name, n)
			}
		}
		if got := fill(p, "last"); got != 2 {
			t.Errorf("%d units are left, want 2", got)
		}
	})
}

func TestWithinATenantTheOldestRequestComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := share.New(nil, share.Limits{Capacity: 1})
		h := acquire(t, p, "a", 1)
		var order []int
		for i := range 5 {
			go func() {
				got, err := p.Acquire(t.Context(), "a", 1)
				if err == nil {
					order = append(order, i)
					got.Release()
				}
			}()
			synctest.Wait()
		}
		h.Release()
		synctest.Wait()
		if !slices.Equal(order, []int{0, 1, 2, 3, 4}) {
			t.Errorf("order %v", order)
		}
	})
}

func TestARequestThatIsGivenUpLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		p := share.New(share.NewMetrics(registry).Meter("turns"), share.Limits{Capacity: 10})
		h := acquire(t, p, "a", 9)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		go func() {
			if _, err := p.Acquire(ctx, "b", 5); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("err %v, want the deadline's", err)
			}
		}()
		synctest.Wait()
		// b's five are within its equal share and not overtaken; when b has given up, c
		// gets the one that is free.
		var order []string
		wait(t, p, "a", 1, &order)
		if len(order) != 0 {
			t.Error("a request within the equal share was overtaken")
		}
		want := func(text string) {
			t.Helper()
			if err := testutil.GatherAndCompare(registry, strings.NewReader(text), "lanyard_share_capacity", "lanyard_share_held", "lanyard_share_waiting", "lanyard_share_tenants_waiting", "lanyard_share_refused_total"); err != nil {
				t.Error(err)
			}
		}
		want(metricsText(10, 9, 2, 2, 0))
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if len(order) != 1 {
			t.Error("what waited behind a request that was given up still waits")
		}
		h.Release()
		want(metricsText(10, 1, 0, 0, 1))

		ended, end := context.WithCancel(t.Context())
		end()
		if _, err := p.Acquire(ended, "b", 1); !errors.Is(err, context.Canceled) {
			t.Errorf("err %v of a context that has ended", err)
		}
	})
}

func metricsText(capacity, held, waiting, tenants, refused int) string {
	return fmt.Sprintf(`# HELP lanyard_share_capacity Units that namespaces share, guarantees aside.
# TYPE lanyard_share_capacity gauge
lanyard_share_capacity{pool="turns"} %d
# HELP lanyard_share_held Units that namespaces hold.
# TYPE lanyard_share_held gauge
lanyard_share_held{pool="turns"} %d
# HELP lanyard_share_refused_total Requests that got no units: their time was over, they did not want to wait, or they asked for more than one namespace can have.
# TYPE lanyard_share_refused_total counter
lanyard_share_refused_total{pool="turns"} %d
# HELP lanyard_share_tenants_waiting Namespaces that wait for units.
# TYPE lanyard_share_tenants_waiting gauge
lanyard_share_tenants_waiting{pool="turns"} %d
# HELP lanyard_share_waiting Requests that wait for units.
# TYPE lanyard_share_waiting gauge
lanyard_share_waiting{pool="turns"} %d
`, capacity, held, refused, tenants, waiting)
}

func TestALargeRequestIsNotStarvedBySmallOnes(t *testing.T) {
	for _, keepFree := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := share.New(nil, share.Limits{Capacity: 90, KeepFree: keepFree})
			got := false
			ctx, cancel := context.WithCancel(t.Context())
			var small sync.WaitGroup
			for range 100 {
				small.Go(func() { // as many as fit are held at any time
					for ctx.Err() == nil {
						if h, err := p.Acquire(ctx, "small", 1); err == nil {
							time.Sleep(time.Duration(1+rand.IntN(1000)) * time.Millisecond)
							h.Release()
						}
					}
				})
			}
			time.Sleep(time.Second)
			go func() {
				_, err := p.Acquire(ctx, "large", 30)
				got = err == nil
			}()
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if !got {
				t.Errorf("keepFree %v: a request within the equal share waits for 5 s while units are held for 1 s at most", keepFree)
			}
			cancel()
			small.Wait()
		})
	}
}

func TestARequestForMoreThanATenantCanHoldIsRefusedAtOnce(t *testing.T) {
	for limits, units := range map[share.Limits]int64{
		{Capacity: 10}:                               11,
		{Capacity: 10, Guarantee: 20}:                21,
		{Capacity: 10, KeepFree: true}:               6,
		{Capacity: 10, KeepFree: true, Guarantee: 8}: 9,
	} {
		p := share.New(nil, limits)
		if _, err := p.Acquire(t.Context(), "a", units); !errors.Is(err, share.ErrNever) {
			t.Errorf("%+v: %d units: err %v", limits, units, err)
		}
		h, err := p.Acquire(t.Context(), "a", units-1)
		if err != nil {
			t.Fatalf("%+v: %d units: %v", limits, units-1, err)
		}
		if err := h.Grow(t.Context(), 1); !errors.Is(err, share.ErrNever) {
			t.Errorf("%+v: grown to %d units: err %v", limits, units, err)
		}
		if h.Units() != units-1 {
			t.Errorf("holds %d units after a refusal, want %d", h.Units(), units-1)
		}
	}
}

func TestWhatIsHeldGrowsAndShrinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := share.New(nil, share.Limits{Capacity: 10})
		old := acquire(t, p, "a", 4)
		other := acquire(t, p, "b", 6)
		var order []string
		wait(t, p, "a", 1, &order)
		go func() {
			if err := old.Grow(t.Context(), 2); err == nil {
				order = append(order, "grown")
			}
		}()
		synctest.Wait()
		if other.TryGrow(1) {
			t.Error("grew beyond the capacity")
		}
		other.Shrink(4)
		other.Shrink(5) // which is no growth
		synctest.Wait()
		if !slices.Equal(order, []string{"grown"}) || old.Units() != 6 || other.Units() != 4 {
			t.Errorf("order %v, %d and %d units; the older holder grows first", order, old.Units(), other.Units())
		}
		old.Release()
		old.Release()
		synctest.Wait()
		if got := fill(p, "c"); got != 5 {
			t.Errorf("%d units are free, want 5", got)
		}
	})
}

func TestLimitsChangeUnderWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := share.New(nil, share.Limits{Capacity: 1})
		acquire(t, p, "a", 1)
		var order []string
		wait(t, p, "b", 1, &order)
		p.SetLimits(share.Limits{Capacity: 2})
		synctest.Wait()
		if len(order) != 1 {
			t.Error("a larger capacity was not given out")
		}
		p.SetLimits(share.Limits{Capacity: 1})
		if _, ok := p.TryAcquire("c", 1); ok {
			t.Error("a smaller capacity does not hold")
		}
	})
}

// TestPoolKeepsItsRules does at random what tenants may do and holds the pool to its
// rules after each step.
func TestPoolKeepsItsRules(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			limits := share.Limits{Capacity: 1 + rnd.Int64N(40), Guarantee: rnd.Int64N(4), KeepFree: seed%3 == 0}
			largest := int64(1)
			if seed%2 == 0 {
				largest = 5
			}
			p := share.New(nil, limits)
			type holder struct {
				tenant string
				*share.Held
			}
			type waiter struct {
				tenant string
				units  int64
				cancel context.CancelFunc
			}
			var mu sync.Mutex
			var holders []holder
			waiters := map[*waiter]bool{}
			ask := func(tenant string, units int64) {
				ctx, cancel := context.WithCancel(t.Context())
				w := &waiter{tenant, units, cancel}
				mu.Lock()
				waiters[w] = true
				mu.Unlock()
				go func() {
					defer cancel()
					h, err := p.Acquire(ctx, tenant, units)
					mu.Lock()
					defer mu.Unlock()
					delete(waiters, w)
					if err == nil {
						holders = append(holders, holder{tenant, h})
					}
				}()
			}
			tenants := 1 + rnd.IntN(8)
			for range 400 {
				switch n := rnd.IntN(10); {
				case n < 5:
					ask(fmt.Sprint("t", rnd.IntN(tenants)), 1+rnd.Int64N(largest))
				case n < 8 && len(holders) > 0:
					i := rnd.IntN(len(holders))
					holders[i].Release()
					mu.Lock()
					holders = slices.Delete(holders, i, i+1)
					mu.Unlock()
				case n < 9 && len(holders) > 0:
					holders[rnd.IntN(len(holders))].Shrink(1)
				case len(waiters) > 0:
					for w := range waiters {
						w.cancel()
						break
					}
				}
				synctest.Wait()

				held, total := map[string]int64{}, int64(0)
				for _, h := range holders {
					held[h.tenant] += h.Units()
					total += h.Units()
				}
				if bound := limits.Capacity + limits.Guarantee*int64(tenants); total > bound {
					t.Fatalf("seed %d: %d units are held, more than the capacity and all guarantees, %d", seed, total, bound)
				}
				active := map[string]bool{}
				for name, units := range held {
					active[name] = units > 0
				}
				smallest := map[string]int64{}
				for w := range waiters {
					active[w.tenant] = true
					if units, ok := smallest[w.tenant]; !ok || w.units < units {
						smallest[w.tenant] = w.units
					}
				}
				// Where each asks for one unit, nobody waits who could have one.
				for name, units := range smallest {
					free := limits.Capacity - total - units
					would := held[name] + units
					if largest == 1 && (would <= limits.Guarantee || free >= 0 && (!limits.KeepFree || would <= free)) {
						t.Fatalf("seed %d: %s holds %d units and waits for %d though %d are free", seed, name, held[name], units, free+units)
					}
				}
			}
			// Whatever happened, all is given back in the end and all requests are met.
			for range 10_000 {
				if len(holders) == 0 {
					break
				}
				holders[0].Release()
				mu.Lock()
				holders = holders[1:]
				mu.Unlock()
				synctest.Wait()
			}
			for w := range waiters {
				if w.units <= limits.Capacity && !limits.KeepFree {
					t.Errorf("seed %d: %s still waits for %d units of %+v", seed, w.tenant, w.units, limits)
				}
				w.cancel()
			}
			synctest.Wait()
			want := limits.Capacity
			if limits.KeepFree {
				want = max(limits.Capacity/2, limits.Guarantee)
			}
			if got := fill(p, "last"); got != max(want, limits.Guarantee) {
				t.Errorf("seed %d: the emptied pool of %+v gives %d units", seed, limits, got)
			}
		})
	}
}
