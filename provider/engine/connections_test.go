package engine_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
)

// manyStores is a class that defines so many stores and reads from one that the
// operator names. No two generations have a store in common.
func manyStores(count, generation int) *spec.Class {
	class := &spec.Class{
		Stores:  map[string]map[string]any{},
		Objects: []spec.Object{{Path: "a", Store: "memory", Key: "a"}},
	}
	for i := range count {
		class.Stores[fmt.Sprint("s", i)] = map[string]any{"type": "memory", "address": fmt.Sprint(generation, "-", i)}
	}
	return class
}

func TestAClassDefinesOnlySoManyStores(t *testing.T) {
	b := start(t, nil)
	b.memory.Put("a", "v")
	b.classes["max"], b.classes["more"] = manyStores(64, 1), manyStores(65, 2)
	b.mustMount(t, web, "max")
	_, _, err := b.mount(web, "more")
	wantError(t, err, fault.ErrInvalid, "stores: has 65 entries, and a class may define at most 64")
}

func TestConnectionsThatNothingUsesAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		for generation := range 20 {
			class := manyStores(60, generation)
			class.Objects[0].Key = "" // the class is refused, its stores have been opened
			b.classes[fmt.Sprint(generation)] = class
			_, _, err := b.mount(web, fmt.Sprint(generation))
			wantError(t, err, fault.ErrInvalid)
		}
		time.Sleep(15 * time.Second)
		if open := 20*60 - b.memory.Closed(); open > 256+1 {
			t.Errorf("%d connections are open that nothing uses", open)
		}
	})
}

func TestConnectionsThatAreSlowToCloseDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := NewMemory()
		memory.Put("a", "v")
		cfg := config.Default()
		cfg.Stores = map[string]config.Store{"memory": {Type: "memory"}}
		class := manyStores(60, 1)
		eng, err := engine.New(engine.Options{
			Config: cfg, Types: []store.Type{slowToClose{memory}}, Calls: remote.NewCalls(1), Metrics: prometheus.NewRegistry(),
			Dialects: map[string]spec.Dialect{"test": func(map[string]string) (*spec.Class, error) { return class, nil }},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := eng.Mount(t.Context(), engine.Request{Dialect: "test", Identity: web}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		eng.Close()
		if took := time.Since(start); took > 5*time.Second || memory.Closed() != 61 {
			t.Errorf("closing took %v and closed %d", took, memory.Closed())
		}
	})
}
