package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
)

// BenchmarkRepeatMount is what a poll costs in the engine when nothing has
// changed: 20 objects of 1 KiB, half of them properties.
func BenchmarkRepeatMount(b *testing.B) {
	memory := NewMemory()
	class := &spec.Class{}
	text := ""
	for i := range 20 {
		key := fmt.Sprint("key", i)
		memory.Put(key, `{"v":"`+strings.Repeat("x", 1024)+`"}`)
		o := spec.Object{Path: fmt.Sprint("file", i), Store: "memory", Key: key}
		if i%2 == 0 {
			o.Property = "v"
		}
		class.Objects = append(class.Objects, o)
		text += fmt.Sprintf("- path: file%d\n  store: memory\n  key: key%d\n  property: v\n", i, i)
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
	req := engine.Request{Dialect: "test", Parameters: map[string]string{"objects": text}, Identity: web}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := eng.Mount(b.Context(), req); err != nil {
				b.Fatal(err)
			}
		}
	})
}
