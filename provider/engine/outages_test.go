package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"

	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
)

// logged collects what is logged until the test ends.
func logged(t *testing.T) *bytes.Buffer {
	t.Helper()
	var log bytes.Buffer
	klog.SetLogger(textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(&log))))
	t.Cleanup(klog.ClearLogger)
	return &log
}

// metric is the value of one series as it is exported; "" if there is none.
func (b *bench) metric(t *testing.T, name string, labels ...string) string {
	t.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
	series:
		for _, series := range family.GetMetric() {
			text := fmt.Sprint(series.GetLabel())
			for _, label := range labels {
				if !strings.Contains(text, `value:"`+label+`"`) {
					continue series
				}
			}
			return fmt.Sprint(series.GetGauge().GetValue() + series.GetCounter().GetValue())
		}
	}
	return ""
}

func (b *bench) wantMetric(t *testing.T, want, name string, labels ...string) {
	t.Helper()
	if got := b.metric(t, name, labels...); got != want {
		t.Errorf("%s%v is %q, want %q", name, labels, got, want)
	}
}

func TestAnOutageIsToldOnceAndItsEndToo(t *testing.T) {
	log := logged(t)
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(c *config.Config) { c.Cache.StaleOnError = 10 * time.Minute })
		b.memory.Put("a", "v")
		b.class("web", spec.Object{Path: "a", Key: "a"})
		b.wantMetric(t, "", "lanyard_store_up", "memory")
		b.mustMount(t, web, "web")
		b.wantMetric(t, "1", "lanyard_store_up", "memory")
		if log.Len() > 0 {
			t.Errorf("a store that answers is told:\n%s", log)
		}
		time.Sleep(3 * time.Minute)
		down := time.Now().UTC()
		b.memory.Behave = func(context.Context, store.Reference) error {
			return fmt.Errorf("%w: connection refused\n\x1b[31mand more", fault.ErrUnavailable)
		}
		for range 10 {
			b.mustMount(t, web, "web")
			time.Sleep(20 * time.Second)
		}
		b.wantMetric(t, "0", "lanyard_store_up", "memory")
		b.wantMetric(t, "1", "lanyard_store_reads_total", "memory", "ok")
		for _, want := range []string{
			`"The store is down; values that were read before stand in for a while" store="memory"`,
			`since="` + down.Format(time.RFC3339) + `"`,
			`standInUntil="` + down.Add(10*time.Minute).Format(time.RFC3339) + `"`,
			"connection refused",
		} {
			if strings.Count(log.String(), want) != 1 {
				t.Errorf("%q is not told once:\n%s", want, log)
			}
		}
		if strings.Contains(log.String(), "\x1b") {
			t.Errorf("the log has what a server wrote:\n%s", log)
		}
		log.Reset()
		b.memory.Behave = nil
		for range 10 {
			b.mustMount(t, web, "web")
			time.Sleep(20 * time.Second)
		}
		b.wantMetric(t, "1", "lanyard_store_up", "memory")
		if strings.Count(log.String(), `"The store answers again" store="memory"`) != 1 || strings.Count(log.String(), "downFor") != 1 {
			t.Errorf("its end is not told once:\n%s", log)
		}
	})
}

// What a store says of one secret, or what is wrong on this side, is no outage.
func TestARefusalIsNoOutage(t *testing.T) {
	log := logged(t)
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.class("web", spec.Object{Path: "a", Key: "a"})
		for _, kind := range []error{fault.ErrNotFound, fault.ErrDenied, fault.ErrUnauthenticated} {
			b.memory.Behave = func(context.Context, store.Reference) error { return kind }
			if _, _, err := b.mount(web, "web"); !errors.Is(err, kind) {
				t.Error(err)
			}
			b.wantMetric(t, "1", "lanyard_store_up", "memory")
			time.Sleep(time.Minute)
		}
		b.memory.Behave = func(context.Context, store.Reference) error { return fault.ErrInvalid }
		if _, _, err := b.mount(web, "web"); !errors.Is(err, fault.ErrInvalid) {
			t.Error(err)
		}
		if log.Len() > 0 {
			t.Errorf("it is told:\n%s", log)
		}
	})
}

// What the operator lets classes choose must not let one of them raise an alarm about
// the operator's store.
func TestAClassThatLeadsAStoreElsewhereDoesNotMakeItLookDown(t *testing.T) {
	log := logged(t)
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(c *config.Config) {
			named := c.Stores["memory"]
			named.Override = map[string][]string{"address": {"*"}}
			c.Stores["memory"] = named
		})
		b.memory.Put("a", "v")
		b.class("web", spec.Object{Path: "a", Key: "a"})
		b.mustMount(t, web, "web")
		b.memory.Behave = unavailable
		b.classes["evil"] = &spec.Class{
			Objects: []spec.Object{{Path: "a", Key: "a", Store: "memory"}},
			Stores:  map[string]map[string]any{"memory": {"address": "evil"}},
		}
		if _, _, err := b.mount(api, "evil"); err == nil {
			t.Error("it is mounted")
		}
		b.wantMetric(t, "1", "lanyard_store_up", "memory")
		b.wantMetric(t, "0", "lanyard_store_up", "class-defined")
		b.wantMetric(t, "1", "lanyard_store_reads_total", "class-defined", "unavailable")
		if strings.Contains(log.String(), `store="memory"`) {
			t.Errorf("the log tells of the operator's store:\n%s", log)
		}
	})
}

// A class may define any number of stores, under any names.
func TestStoresOfClassesShareOneName(t *testing.T) {
	log := logged(t)
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Put("a", "v")
		b.memory.Behave = unavailable
		for i := range 20 {
			name := fmt.Sprint("evil", i)
			b.classes[name] = &spec.Class{
				Objects: []spec.Object{{Path: "a", Key: "a", Store: name}},
				Stores:  map[string]map[string]any{name: {"type": "memory", "address": name}},
			}
			if _, _, err := b.mount(web, name); err == nil {
				t.Error("it is mounted")
			}
		}
		b.wantMetric(t, "20", "lanyard_store_reads_total", "class-defined", "unavailable")
		b.wantMetric(t, "0", "lanyard_store_up", "class-defined")
		b.wantMetric(t, "", "lanyard_store_up", "evil1")
		if n := strings.Count(log.String(), "The store is down"); n != 1 || !strings.Contains(log.String(), `store="class-defined"`) {
			t.Errorf("%d lines:\n%s", n, log)
		}
	})
}

func TestAStoreThatIsConfiguredNoMoreIsForgotten(t *testing.T) {
	b := start(t, nil)
	b.memory.Put("a", "v")
	b.class("web", spec.Object{Path: "a", Key: "a"})
	b.mustMount(t, web, "web")
	changed := b.config
	changed.Stores = map[string]config.Store{"other": b.config.Stores["memory"]}
	if err := b.Configure(changed); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lanyard_store_up", "lanyard_store_reads_total"} {
		if got := b.metric(t, name); got != "" {
			t.Errorf("%s is still %s", name, got)
		}
	}
}
