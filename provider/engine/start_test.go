package engine_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
)

func TestAPodThatStartsGetsWhatItsStoreHoldsNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Put("a", "old")
		b.class("web", spec.Object{Path: "a", Key: "a", Refresh: time.Hour})
		b.mustMount(t, web, "web")
		time.Sleep(100 * time.Second)
		b.memory.Put("a", "new")
		b.wantFile(t, web, "web", "a", "old") // it is known, and its interval is not over
		b.wantFile(t, pod("prod/web", "web-2"), "web", "a", "new")
		b.wantFile(t, web, "web", "a", "new")
		b.wantReads(t, 2)
		// Another class of a pod that is known is a volume that starts.
		b.class("more", spec.Object{Path: "a", Key: "a", Refresh: time.Hour})
		b.memory.Put("a", "newer")
		time.Sleep(10 * time.Second)
		b.wantFile(t, web, "more", "a", "newer")
	})
}

func TestPodsThatStartTogetherShareARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Put("a", "v")
		b.memory.Behave = func(context.Context, store.Reference) error { time.Sleep(time.Second); return nil }
		b.class("web", spec.Object{Path: "a", Key: "a"})
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 40 * time.Millisecond) // four seconds
				b.mustMount(t, pod("prod/web", fmt.Sprint(i)), "web")
			})
		}
		all.Wait()
		b.wantReads(t, 1)
	})
}

// A value that a read makes, such as one of a write at Vault, is not made anew under
// the pods that have it.
func TestAValueThatTheReadMakesIsNotMadeAgainForAPodThatStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Put("key", `{"a":"1"}`)
		b.memory.Change = func(_ store.Reference, value *store.Value) { value.Issued = true }
		b.class("web", spec.Object{Path: "a", Key: "key", Refresh: time.Hour})
		b.class("fails", spec.Object{Path: "a", Key: "key", Property: "b", Refresh: time.Hour})
		for i := range 10 {
			b.mustMount(t, pod("prod/web", fmt.Sprint(i)), "web")
			if _, _, err := b.mount(web, "fails"); err == nil {
				t.Error("a property that is not there was mounted")
			}
			b.Refresh()
			time.Sleep(time.Minute)
		}
		b.wantReads(t, 1)
		time.Sleep(time.Hour)
		b.mustMount(t, web, "web")
		b.wantReads(t, 2)
	})
}

// A read that has hung for long began before the change that the pod starts for.
func TestAPodThatStartsDoesNotJoinAReadThatBeganLongAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Put("a", "v")
		b.memory.Behave = func(context.Context, store.Reference) error { time.Sleep(20 * time.Second); return nil }
		b.class("web", spec.Object{Path: "a", Key: "a"})
		var all sync.WaitGroup
		for i := range 3 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 8 * time.Second) // the second and the third share one
				b.mustMount(t, pod("prod/web", fmt.Sprint(i)), "web")
			})
		}
		all.Wait()
		b.wantReads(t, 2)
	})
}

func TestAnOldValueStandsInForAPodThatStartsOnlyWhileTheStoreIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Put("a", "old")
		b.class("web", spec.Object{Path: "a", Key: "a"})
		b.mustMount(t, web, "web")
		time.Sleep(10 * time.Second)
		b.memory.Behave = unavailable
		b.wantFile(t, pod("prod/web", "web-2"), "web", "a", "old")
		b.memory.Behave = nil
		b.memory.Put("a", "new")
		time.Sleep(15 * time.Second)
		b.wantFile(t, pod("prod/web", "web-3"), "web", "a", "new")
		b.memory.Deny("prod/web")
		time.Sleep(10 * time.Second)
		_, _, err := b.mount(pod("prod/web", "web-4"), "web")
		wantError(t, err, fault.ErrDenied)
	})
}

func TestAPodIsForgottenAfterTheIdleTimeAndNotByAChangedConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Put("a", "v")
		b.class("web", spec.Object{Path: "a", Key: "a", Refresh: 12 * time.Hour})
		b.mustMount(t, web, "web")
		for range 20 { // polls of one pod keep the value and itself
			time.Sleep(time.Minute)
			b.mustMount(t, web, "web")
		}
		changed := b.config
		changed.Bounds.StoreCalls = 7
		must(t, b.Configure(changed))
		b.mustMount(t, web, "web")
		b.wantReads(t, 1)
		time.Sleep(11 * time.Minute)
		b.mustMount(t, web, "web")
		b.wantReads(t, 2)
	})
}

// A key is added to a secret and to the class, and a pod starts at once.
func TestAMountReadsAgainBeforeItFailsBecauseOfAValueFromMemory(t *testing.T) {
	for name, object := range map[string]spec.Object{
		"property":   {Path: "f", Key: "db", Property: "b"},
		"no JSON":    {Path: "f", Key: "text", Property: "b"},
		"no object":  {Path: "f", Key: "text", Expand: true},
		"encoding":   {Path: "f", Key: "text", Encoding: "hex"},
		"template":   {Path: "f", Template: `{{ (.db | fromJson).b.c }}`},
		"everything": {Path: "f", Key: "db", Property: "b", Expand: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, nil)
				base := []spec.Object{{Name: "db", Key: "db", Refresh: time.Hour}, {Name: "text", Key: "text", Refresh: time.Hour}}
				b.class("before", base...)
				b.class("after", append(base, object)...)
				b.memory.Put("db", `{"a":"1"}`)
				b.memory.Put("text", `no text of any form`)
				b.mustMount(t, web, "before")
				b.memory.Put("db", `{"a":"1","b":{"c":"2"}}`)
				b.memory.Put("text", map[bool]string{true: "6162", false: `{"b":"2"}`}[object.Encoding != ""])
				b.mustMount(t, pod("prod/web", "web-2"), "after") // at the very same time
			})
		})
	}
}

// The scenarios of the driver's own tests, at default settings: a value is changed
// at any moment between two polls, and the next poll brings it.
func TestAChangeReachesEveryPodWithTheFirstPollAfterIt(t *testing.T) {
	for _, interval := range []time.Duration{75 * time.Second, 80 * time.Second} {
		for shift := range 15 {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, nil)
				b.memory.Put("a", "one")
				b.class("web", spec.Object{Path: "a", Key: "a"})
				b.mustMount(t, web, "web")
				time.Sleep(interval)
				b.mustMount(t, web, "web")
				time.Sleep(time.Duration(shift) * 5 * time.Second)
				b.memory.Put("a", "two")
				changed := time.Now()
				time.Sleep(interval - time.Duration(shift)*5*time.Second)
				b.wantFile(t, web, "web", "a", "two")
				if waited := time.Since(changed); waited > 90*time.Second {
					t.Errorf("the change took %v", waited)
				}
			})
		}
	}
}

// Polls of many pods share what one of them had read up to 30 s before.
func TestAChangeReachesManyPodsWithinThePollAndTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.class("web", spec.Object{Path: "a", Key: "a"})
		b.memory.Put("a", "0")
		changed, value := time.Now(), 0
		for second := range 3600 {
			if second%131 == 130 { // at other moments of the polls each time
				value++
				b.memory.Put("a", fmt.Sprint(value))
				changed = time.Now()
			}
			for i := range 10 {
				if second%80 != i*8 {
					continue
				}
				files, _ := b.mustMount(t, pod("prod/web", fmt.Sprint(i)), "web")
				if files["a"] != fmt.Sprint(value) && time.Since(changed) > 30*time.Second {
					t.Fatalf("pod %d gets %s at a poll %v after the change", i, files["a"], time.Since(changed))
				}
			}
			time.Sleep(time.Second)
		}
		if reads := b.memory.Total(); reads > 3600/27 {
			t.Errorf("%d reads in an hour", reads)
		}
	})
}

// Pods of one identity poll at different times, and each within its interval is
// served what another read.
func TestNoValueGetsOlderThanItsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(c *config.Config) { c.Cache.Refresh = 30 * time.Second })
		b.class("web", spec.Object{Path: "a", Key: "a"})
		put := time.Now()
		b.memory.Put("a", "0")
		b.mustMount(t, web, "web")
		for i := range 400 {
			time.Sleep(time.Second)
			files, _ := b.mustMount(t, web, "web")
			if files["a"] != fmt.Sprint(i/100) && time.Since(put) >= 30*time.Second {
				t.Fatalf("%v after the change the file is %s", time.Since(put), files["a"])
			}
			if i%100 == 99 {
				b.memory.Put("a", fmt.Sprint(i/100+1))
				put = time.Now()
			}
		}
	})
}

// Who asks again and again is served from memory from the start, and a person who knows
// of a change is served what the store has held since then: once read, from memory.
func TestRepeatedRequestsAndValuesOfATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Put("a", "old")
		b.class("web", spec.Object{Path: "a", Key: "a", Refresh: time.Hour})
		b.mustMount(t, web, "web")
		time.Sleep(time.Minute)
		b.memory.Put("a", "new")
		told := time.Now()
		for i, step := range []struct {
			notBefore time.Time
			want      string
		}{{want: "old"}, {told, "new"}, {want: "new"}, {told, "new"}, {told.Add(4 * time.Second), "new"}} {
			time.Sleep(time.Second)
			volume, err := b.Mount(t.Context(), engine.Request{Dialect: "test", Parameters: map[string]string{"class": "web"}, Identity: pod("prod/web", fmt.Sprint(i)), Repeated: true, NotBefore: step.notBefore})
			if err != nil || string(volume.Files[0].Contents) != step.want {
				t.Errorf("step %d: %v, %v; want %s", i, volume, err, step.want)
			}
		}
		b.wantReads(t, 3)
	})
}
