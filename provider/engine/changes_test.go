package engine_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
)

func TestAValueIsReadAgainWhenItsStoreReplacesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		began, period := time.Now(), 20*time.Second
		b.memory.Change = func(_ store.Reference, value *store.Value) {
			turn := int(time.Since(began) / period)
			value.Data = secret.NewString(fmt.Sprint(turn))
			value.ChangesAt = began.Add(time.Duration(turn+1)*period + time.Second)
		}
		b.memory.Put("a", "")
		b.class("web", spec.Object{Path: "a", Key: "a", Refresh: time.Hour})
		wrong := 0
		for range 600 {
			files, _ := b.mustMount(t, web, "web")
			if files["a"] != fmt.Sprint(int(time.Since(began)/period)) {
				wrong++
			}
			time.Sleep(time.Second)
		}
		if wrong > 30 { // a second of each period
			t.Errorf("the password was wrong at %d of 600 polls", wrong)
		}
		b.wantReads(t, 30)
	})
}

func TestAValueThatAlwaysChangesIsReadAtMostOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Change = func(_ store.Reference, value *store.Value) { value.ChangesAt = time.Now().Add(-time.Hour) }
		b.memory.Put("a", "v")
		b.class("web", spec.Object{Path: "a", Key: "a", Refresh: time.Hour})
		for range 100 {
			b.mustMount(t, web, "web")
			time.Sleep(100 * time.Millisecond)
		}
		b.wantReads(t, 10)
		b.memory.Behave = unavailable // it stands in as any other
		time.Sleep(time.Minute)
		b.wantFile(t, web, "web", "a", "v")
	})
}

// versions answers with these versions in turn, and then with the last.
func versions(b *bench, made func(version int64) time.Time, turns ...int64) {
	next := 0
	b.memory.Put("a", "")
	b.memory.Change = func(_ store.Reference, value *store.Value) {
		value.Order = turns[min(next, len(turns)-1)]
		value.Data = secret.NewString(fmt.Sprint(value.Order))
		value.Made = made(value.Order)
		next++
	}
}

func untold(int64) time.Time { return time.Time{} }

func TestAReplicaThatLagsBehindDoesNotTurnAFileBack(t *testing.T) {
	for name, made := range map[string]func(int64) time.Time{
		"untold": untold,
		"told":   func(version int64) time.Time { return time.Unix(version*1000, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, nil)
				versions(b, made, 7, 6, 7, 6, 7, 6, 6, 7, 6, 8, 7, 6, 8)
				b.class("web", spec.Object{Path: "a", Key: "a"})
				for i, want := range []string{"7", "7", "7", "7", "7", "7", "7", "7", "7", "8", "8", "8", "8"} {
					as := web
					if i%2 == 1 {
						as = pod("prod/web", fmt.Sprint(i)) // one that starts
					}
					b.wantFile(t, as, "web", "a", want)
					time.Sleep(75 * time.Second)
				}
				b.wantReads(t, 13)
			})
		})
	}
}

func TestAnEarlierVersionIsBelievedAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		versions(b, untold, 7, 1)
		b.class("web", spec.Object{Path: "a", Key: "a"})
		b.mustMount(t, web, "web")
		time.Sleep(time.Minute)
		began := time.Now()
		for {
			if files, _ := b.mustMount(t, web, "web"); files["a"] == "1" {
				break
			}
			time.Sleep(10 * time.Second)
		}
		if took := time.Since(began); took < 5*time.Minute || took > 6*time.Minute {
			t.Errorf("believed after %v", took)
		}
	})
}

func TestASecretThatWasMadeAnewIsBelievedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		versions(b, func(version int64) time.Time { return time.Unix(1000-version, 0) }, 7, 1)
		b.class("web", spec.Object{Path: "a", Key: "a"})
		b.mustMount(t, web, "web")
		time.Sleep(time.Minute)
		b.wantFile(t, web, "web", "a", "1")
	})
}

// A volume tells when the newest of its values was made, as far as stores tell.
func TestAVolumeTellsWhenItsNewestValueWasMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		made := map[string]time.Time{"old": time.Unix(1000, 0), "new": time.Unix(2000, 0), "untold": {}}
		b.memory.Change = func(ref store.Reference, value *store.Value) { value.Made = made[ref.Key] }
		for key := range made {
			b.memory.Put(key, key)
		}
		for class, c := range map[string]struct {
			keys []string
			want time.Time
		}{"both": {[]string{"new", "old", "untold"}, made["new"]}, "none": {[]string{"untold"}, time.Time{}}} {
			var objects []spec.Object
			for _, key := range c.keys {
				objects = append(objects, spec.Object{Path: key, Key: key})
			}
			b.class(class, objects...)
			for range 2 { // made, and from memory
				volume, err := b.Mount(t.Context(), engine.Request{Dialect: "test", Parameters: map[string]string{"class": class}, Identity: web})
				if err != nil || !volume.Made.Equal(c.want) {
					t.Errorf("%s: %v, %v; want %v", class, volume.Made, err, c.want)
				}
			}
		}
	})
}
