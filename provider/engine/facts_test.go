package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
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

// planted is in every value of the tests of Facts, and must never be in the facts.
const planted = "planted-7f3c1"

// factsOf are the facts, which must not have a value.
func factsOf(t *testing.T, b *bench) *engine.Facts {
	t.Helper()
	f := b.Facts()
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), planted) {
		t.Errorf("the facts have a value: %s", text)
	}
	return f
}

// mountOf mounts a class that the request names.
func (b *bench) mountOf(as identity.Identity, class string) error {
	_, err := b.Mount(context.Background(), engine.Request{Dialect: "test", Class: class, Parameters: map[string]string{"class": class}, Identity: as})
	return err
}

func volumeOf(t *testing.T, f *engine.Facts, pod, class string) engine.VolumeFacts {
	t.Helper()
	for _, v := range f.Volumes {
		if v.Pod == pod && v.Class == class {
			return v
		}
	}
	t.Fatalf("no volume of %s in pod %s", class, pod)
	return engine.VolumeFacts{}
}

func objectOf(t *testing.T, v engine.VolumeFacts, id string) engine.ObjectFacts {
	t.Helper()
	for _, o := range v.Objects {
		if o.Object == id {
			return o
		}
	}
	t.Fatalf("no object %s in %+v", id, v.Objects)
	return engine.ObjectFacts{}
}

func TestFactsTellWhatAVolumeHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Put("a", planted)
		b.class("web",
			spec.Object{Path: "a", Key: "a"}, spec.Object{Path: "gone", Key: "gone", Optional: true},
			spec.Object{Path: "made", Template: "x{{ .a }}"})
		first := time.Now()
		if err := b.mountOf(pod("shop/web", "web-1"), "web"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := b.mountOf(pod("shop/web", "web-2"), "web"); err != nil {
			t.Fatal(err)
		}
		f := factsOf(t, b)
		if len(f.Volumes) != 2 || f.Volumes[0].Pod != "web-1" || f.Volumes[1].Pod != "web-2" {
			t.Fatalf("volumes: %+v", f.Volumes)
		}
		v := volumeOf(t, f, "web-2", "web")
		if v.State != engine.VolumeOK || v.ServiceAccount != "web" || v.PodUID != "uid-web-2" || v.Dialect != "test" ||
			!v.Mounted.Equal(first.Add(time.Second)) || !v.Polled.Equal(v.Mounted) || !v.Answered.Equal(v.Mounted) {
			t.Errorf("the volume is %+v", v)
		}
		_, versions := b.mustMount(t, pod("shop/web", "web-3"), "web")
		a, gone, made := objectOf(t, v, "a"), objectOf(t, v, "gone"), objectOf(t, v, "made")
		if a.Source != engine.FromCache || a.Store != "memory" || a.StoreName != "memory" || a.StoreType != "memory" || a.Version != versions["a"] || !a.Read.Equal(first) {
			t.Errorf("the object is %+v", a)
		}
		if due := a.Due.Sub(first); due < 27*time.Second || due > 30*time.Second {
			t.Errorf("it is due %v after it was read", due)
		}
		if gone.Source != engine.FromAbsent || gone.Version != "" || made.Source != engine.FromTemplate || made.Version != versions["made"] || made.Store != "" || !made.Read.IsZero() {
			t.Errorf("absent %+v, template %+v", gone, made)
		}
		if source := objectOf(t, volumeOf(t, f, "web-1", "web"), "a").Source; source != engine.FromStore {
			t.Errorf("the first pod's value came from the %s", source)
		}
	})
}

func TestFactsTellWhatFailedAndSinceWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Put("a", planted)
		b.class("web", spec.Object{Path: "a", Key: "a", Property: "x"})
		began := time.Now()
		for range 3 {
			if b.mountOf(web, "web") == nil {
				t.Fatal("mounted")
			}
			time.Sleep(10 * time.Second)
		}
		v := volumeOf(t, factsOf(t, b), web.Pod, "web")
		if v.State != engine.VolumeFailed || !v.Since.Equal(began) || !v.Polled.Equal(began.Add(20*time.Second)) || !v.Mounted.IsZero() || v.Kind != "invalid" || !strings.Contains(v.Error, "object 1 (a)") || len(v.Objects) != 0 {
			t.Errorf("the volume is %+v", v)
		}
		b.memory.Put("a", `{"x":"`+planted+`"}`)
		if err := b.mountOf(web, "web"); err != nil {
			t.Fatal(err)
		}
		v = volumeOf(t, factsOf(t, b), web.Pod, "web")
		if v.State != engine.VolumeOK || v.Error != "" || v.Kind != "" || !v.Since.IsZero() || len(v.Objects) != 1 {
			t.Errorf("fixed, the volume is %+v", v)
		}
		// What the pod has stays listed while polls fail.
		b.memory.Delete("a")
		time.Sleep(time.Minute)
		if b.mountOf(web, "web") == nil {
			t.Fatal("mounted")
		}
		v = volumeOf(t, factsOf(t, b), web.Pod, "web")
		if v.State != engine.VolumeFailed || v.Kind != "not_found" || len(v.Objects) != 1 || v.Mounted.IsZero() {
			t.Errorf("failed again, the volume is %+v", v)
		}
	})
}

func TestFactsTellOldValuesAndStoresThatAreDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(c *config.Config) {
			c.Stores["unused"] = config.Store{Type: "memory", Fields: map[string]any{"address": "there"}}
		})
		b.memory.Put("a", planted)
		b.class("web", spec.Object{Path: "a", Key: "a"})
		if err := b.mountOf(web, "web"); err != nil {
			t.Fatal(err)
		}
		down := fmt.Errorf("%w: connection refused\nby the\tserver", fault.ErrUnavailable)
		b.memory.Behave = func(context.Context, store.Reference) error { return down }
		time.Sleep(time.Minute)
		since := time.Now()
		if err := b.mountOf(web, "web"); err != nil {
			t.Fatal(err)
		}
		f := factsOf(t, b)
		if v := volumeOf(t, f, web.Pod, "web"); v.State != engine.VolumeStale || !v.Objects[0].Stale || !v.Objects[0].Read.Equal(since.Add(-time.Minute)) {
			t.Errorf("the volume is %+v", v)
		}
		i := slices.IndexFunc(f.Stores, func(s engine.StoreFacts) bool { return s.Name == "memory" })
		if s := f.Stores[i]; s.State != engine.StoreDown || !s.Since.Equal(since) || s.Type != "memory" || s.Reads != 2 || s.Failures != 1 || s.Error != "unavailable: connection refused by the server" || !s.LastFailure.Equal(since) {
			t.Errorf("the store is %+v", s)
		}
		i = slices.IndexFunc(f.Stores, func(s engine.StoreFacts) bool { return s.Name == "unused" })
		if s := f.Stores[i]; s.State != engine.StoreUnasked || s.Reads != 0 {
			t.Errorf("the store that was not asked is %+v", s)
		}
		b.memory.Behave = nil
		time.Sleep(time.Minute)
		if err := b.mountOf(web, "web"); err != nil {
			t.Fatal(err)
		}
		f = factsOf(t, b)
		if v, s := volumeOf(t, f, web.Pod, "web"), f.Stores[0]; v.State != engine.VolumeOK || s.State != engine.StoreUp || !s.Since.IsZero() {
			t.Errorf("later: volume %+v, store %+v", v, s)
		}
	})
}

func TestFactsTellThatAPodIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Put("a", planted+"1")
		b.class("web", spec.Object{Path: "a", Key: "a"})
		one, two := pod("shop/web", "web-1"), pod("shop/web", "web-2")
		mount := func(as identity.Identity) {
			t.Helper()
			if err := b.mountOf(as, "web"); err != nil {
				t.Fatal(err)
			}
		}
		mount(one)
		mount(two)
		time.Sleep(time.Minute)
		mount(two) // it finds the same value
		if o := objectOf(t, volumeOf(t, factsOf(t, b), "web-1", "web"), "a"); o.Behind || !o.Read.Equal(time.Now()) {
			t.Errorf("after another read of the same: %+v", o)
		}
		b.memory.Put("a", planted+"2")
		time.Sleep(time.Minute)
		mount(two)
		f := factsOf(t, b)
		if o := objectOf(t, volumeOf(t, f, "web-1", "web"), "a"); !o.Behind || !o.Read.Equal(time.Now().Add(-2*time.Minute)) {
			t.Errorf("the first pod has %+v", o)
		}
		if o := objectOf(t, volumeOf(t, f, "web-2", "web"), "a"); o.Behind {
			t.Errorf("the second pod has %+v", o)
		}
		mount(one)
		if o := objectOf(t, volumeOf(t, factsOf(t, b), "web-1", "web"), "a"); o.Behind {
			t.Errorf("after its poll the first pod has %+v", o)
		}
	})
}

func TestFactsTellLeasesWithTheirPodsAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Put("a", planted)
		renews := true
		b.memory.Lease = func(store.Reference, int) *store.Lease {
			lease := &store.Lease{Duration: time.Hour, Expires: time.Now().Add(time.Hour)}
			if renews {
				lease.Renew = func(context.Context) (*store.Lease, error) {
					return nil, fmt.Errorf("%w: no", fault.ErrDenied)
				}
			}
			renews = false
			return lease
		}
		b.class("web", spec.Object{Path: "a", Key: "a"}, spec.Object{Path: "b", Key: "a"})
		began := time.Now()
		for _, name := range []string{"web-1", "web-2"} {
			if err := b.mountOf(pod("shop/web", name), "web"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		f := factsOf(t, b)
		if len(f.Leases) != 2 || f.Cache.Leases != 2 {
			t.Fatalf("leases: %+v", f.Leases)
		}
		l := f.Leases[0]
		if l.Namespace != "shop" || l.Pod != "web-1" || l.PodUID != "uid-web-1" || !slices.Equal(l.Objects, []string{"a", "b"}) || l.Store != "memory" || l.State != engine.LeaseOK || !l.Expires.Equal(began.Add(time.Hour)) || l.Renews.IsZero() {
			t.Errorf("the lease is %+v", l)
		}
		if l := f.Leases[1]; !l.Renews.IsZero() {
			t.Errorf("the lease that is not renewed is %+v", l)
		}
		if o := objectOf(t, volumeOf(t, f, "web-1", "web"), "a"); !o.LeaseEnd.Equal(l.Expires) {
			t.Errorf("the object is %+v", o)
		}
		// The second pod polls on while the store is down, and gets no longer lease.
		b.memory.Behave = func(context.Context, store.Reference) error { return fault.ErrUnavailable }
		for range 10 {
			time.Sleep(5 * time.Minute)
			if err := b.mountOf(pod("shop/web", "web-2"), "web"); err != nil {
				t.Fatal(err)
			}
		}
		states := map[string]string{}
		for _, l := range factsOf(t, b).Leases {
			states[l.PodUID] = l.State
		}
		if want := engine.LeaseEnding; states["uid-web-2"] != want {
			t.Errorf("the leases are %v, want %s of the second", states, want)
		}
	})
}

// What a server says of the end of a value may be no moment that JSON knows, and spoils
// nothing but itself.
func TestFactsTellTimesThatNoCalendarHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Put("a", planted)
		var change func(*store.Value)
		b.memory.Change = func(_ store.Reference, v *store.Value) { change(v) }
		// Somewhere else the last second is in the year after.
		east := time.FixedZone("east", 14*3600)
		for i, at := range []time.Time{time.Unix(99999999999999, 0), time.Unix(1<<61, 0), time.Unix(-1<<61, 0), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).In(east), time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC)} {
			for name, sets := range map[string]func(*store.Value){
				"made":    func(v *store.Value) { v.Made = at },
				"changes": func(v *store.Value) { v.ChangesAt = at },
				"after":   func(v *store.Value) { v.NotAfter = at },
				"lease":   func(v *store.Value) { v.Lease = &store.Lease{Expires: at} },
			} {
				change = sets
				class := fmt.Sprint(name, i)
				b.class(class, spec.Object{Path: "a", Key: "a"})
				_ = b.mountOf(pod("shop/"+class, class), class) // a value whose time is over may be refused
				factsOf(t, b)                                   // they can be written
			}
		}
	})
}

func TestFactsTellWhoseTheCacheIs(t *testing.T) {
	b := start(t, nil)
	b.memory.Put("a", strings.Repeat(planted, 100))
	b.class("web", spec.Object{Path: "a", Key: "a"})
	b.mustMount(t, pod("large/web", "p"), "web")
	b.mustMount(t, pod("large/other", "p"), "web")
	b.mustMount(t, pod("small/web", "p"), "web")
	c := factsOf(t, b).Cache
	if len(c.Shares) != 2 || c.Shares[0].Namespace != "large" || c.Shares[0].Bytes+c.Shares[1].Bytes != c.Bytes || c.Entries != 3 || c.Volumes != 3 || c.Bound != int64(config.Default().Cache.Bytes) {
		t.Errorf("the cache is %+v", c)
	}
}

// What is remembered of volumes is bounded, and a namespace with many makes no other lose
// its own.
func TestVolumesThatAreRememberedAreBoundedFairly(t *testing.T) {
	b := start(t, nil)
	b.memory.Put("a", "v")
	var many []spec.Object
	for i := range 900 {
		many = append(many, spec.Object{Path: fmt.Sprint("f", i), Key: "a"})
	}
	b.class("many", many...)
	b.class("one", spec.Object{Path: "a", Key: "a"})
	if err := b.mountOf(pod("quiet/web", "quiet"), "one"); err != nil {
		t.Fatal(err)
	}
	for i := range 150 {
		if err := b.mountOf(pod("loud/web", fmt.Sprint("loud-", i)), "many"); err != nil {
			t.Fatal(err)
		}
	}
	f := factsOf(t, b)
	volumeOf(t, f, "quiet", "one")
	volumeOf(t, f, "loud-149", "many")
	if listed := len(f.Volumes); f.VolumesForgotten == 0 || listed+f.VolumesForgotten != 151 {
		t.Errorf("%d are listed and %d were forgotten", listed, f.VolumesForgotten)
	}
}

func TestVolumesThatAreNotMountedAnyMoreAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Put("a", planted)
		b.class("web", spec.Object{Path: "a", Key: "a"})
		if err := b.mountOf(web, "web"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(b.config.Cache.Idle + 20*time.Second)
		if f := factsOf(t, b); len(f.Volumes) != 0 || f.VolumesForgotten != 0 {
			t.Errorf("%+v", f.Volumes)
		}
	})
}

// BenchmarkFacts is what the facts of a full node cost: 250 pods of 20 objects.
func BenchmarkFacts(b *testing.B) {
	memory, class := NewMemory(), &spec.Class{}
	for i := range 20 {
		key := fmt.Sprint("key", i)
		memory.Put(key, "v")
		class.Objects = append(class.Objects, spec.Object{Path: fmt.Sprint("file", i), Store: "memory", Key: key})
	}
	cfg := config.Default()
	cfg.Stores = map[string]config.Store{"memory": {Type: "memory"}}
	eng, err := engine.New(engine.Options{
		Config: cfg, Types: []store.Type{memory}, Calls: remote.NewCalls(1), Metrics: prometheus.NewRegistry(),
		Dialects: map[string]spec.Dialect{"test": func(map[string]string) (*spec.Class, error) { return class, nil }},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(eng.Close)
	for i := range 250 {
		as := pod(fmt.Sprintf("team-%d/web", i%25), fmt.Sprint("pod-", i))
		if _, err := eng.Mount(b.Context(), engine.Request{Dialect: "test", Class: "web", Identity: as}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if f := eng.Facts(); len(f.Volumes) != 250 {
			b.Fatal(len(f.Volumes))
		}
	}
}
