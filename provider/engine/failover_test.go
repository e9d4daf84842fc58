package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
)

// failingOver is a type whose stores have a second place.
type failingOver struct {
	store.Type
	check func(store.Reference) error
	asked int
	none  bool // the stores have no second place after all
}

func (f *failingOver) Open(settings store.Settings) (store.Store, error) {
	opened, err := f.Type.Open(settings)
	return secondPlace{opened, f}, err
}

type secondPlace struct {
	store.Store
	of *failingOver
}

func (s secondPlace) ChecksFailover(store.Reference) bool { return !s.of.none }

func (s secondPlace) CheckFailover(_ context.Context, _ identity.Identity, ref store.Reference) error {
	s.of.asked++
	return s.of.check(ref)
}

func TestWhatCouldNotBeReadInAnOutageIsToldBefore(t *testing.T) {
	log := logged(t)
	synctest.Test(t, func(t *testing.T) {
		memory := NewMemory()
		second := &failingOver{Type: memory}
		b := startWith(t, second, memory, nil)
		memory.Put("a", "v")
		b.class("web", spec.Object{Path: "a", Key: "a"})
		mount := func(after time.Duration) {
			t.Helper()
			time.Sleep(after)
			b.wantFile(t, web, "web", "a", "v")
			synctest.Wait()
		}
		lines := func(text string, want int) {
			t.Helper()
			if got := strings.Count(log.String(), text); got != want {
				t.Errorf("%q stands %d times in the log, want %d:\n%s", text, got, want, log)
			}
		}
		const told, back = "could not be read in an outage", "can be read in an outage again"

		second.check = func(store.Reference) error {
			return fmt.Errorf("%w: in eu-central-1: copy-of-a", fault.ErrNotFound)
		}
		mount(0)
		mount(time.Minute)
		mount(11 * time.Minute)
		lines(told, 1)
		lines("copy-of-a", 1)
		b.wantMetric(t, "2", "lanyard_failover_checks_total", "memory", "not_found")
		second.check = func(store.Reference) error { return fault.ErrUnavailable }
		mount(11 * time.Minute)
		lines(back, 0)
		second.check = func(store.Reference) error { return nil }
		mount(11 * time.Minute)
		lines(back, 1)
		b.wantMetric(t, "1", "lanyard_failover_checks_total", "memory", "ok")
		asked := second.asked
		mount(12 * time.Hour)
		if second.asked != asked {
			t.Error("what is there is looked at again within a day")
		}
		second.check = func(store.Reference) error { panic("planted-value") }
		mount(13 * time.Hour)
		lines("planted-value", 0)
	})
}

// A store that may have a second place and has none does not count as looked at.
func TestAStoreWithoutASecondPlaceIsNotLookedAt(t *testing.T) {
	memory := NewMemory()
	second := &failingOver{Type: memory, none: true, check: func(store.Reference) error { return nil }}
	b := startWith(t, second, memory, nil)
	memory.Put("a", "v")
	b.class("web", spec.Object{Path: "a", Key: "a"})
	b.wantFile(t, web, "web", "a", "v")
	b.wantMetric(t, "", "lanyard_failover_checks_total", "memory", "ok")
	if second.asked > 0 {
		t.Errorf("it was looked at %d times", second.asked)
	}
}
