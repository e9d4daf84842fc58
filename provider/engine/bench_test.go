package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/provider/audit"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/tracing"
	"github.com/lanyardhq/lanyard/provider/tracing/tracingtest"
)

// BenchmarkRepeatMount is what a poll costs in the engine when nothing has
// changed: 20 objects of 1 KiB, half of them properties.
func BenchmarkRepeatMount(b *testing.B) { repeatMount(b, nil, nil) }

// BenchmarkTracing is BenchmarkRepeatMount with traces that are off, of a hundredth and of all.
func BenchmarkTracing(b *testing.B) {
	for name, change := range map[string]func(*config.Tracing){
		"off": func(s *config.Tracing) { s.URL = "" }, "hundredth": func(s *config.Tracing) { s.SampleRatio = 0.01 }, "all": nil,
	} {
		b.Run(name, func(b *testing.B) { repeatMount(b, nil, tracingtest.New(b).Tracer(b, change)) })
	}
}

func repeatMount(b *testing.B, trail *audit.Log, tracer *tracing.Tracer) {
	b.Helper()
	mount := repeated(b, trail, tracer)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := mount(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// A mount that is not traced allocates no more than one of an engine that cannot trace.
func TestTracesThatAreOffCostNoAllocation(t *testing.T) {
	allocated := func(tracer *tracing.Tracer) float64 {
		mount := repeated(t, nil, tracer)
		return testing.AllocsPerRun(500, func() {
			if err := mount(); err != nil {
				t.Error(err)
			}
		})
	}
	off := tracingtest.New(t).Tracer(t, func(s *config.Tracing) { s.URL = "" })
	if without, with := allocated(nil), allocated(off); with > without {
		t.Errorf("%v allocations without a tracer, %v with one that is off", without, with)
	}
}

// repeated returns a mount of a class of 20 objects, which the cache has after the first.
func repeated(b testing.TB, trail *audit.Log, tracer *tracing.Tracer) (mount func() error) {
	b.Helper()
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
		Config: cfg, Audit: trail, Tracer: tracer, Types: []store.Type{memory}, Calls: remote.NewCalls(1), Metrics: prometheus.NewRegistry(),
		Dialects: map[string]spec.Dialect{"test": func(map[string]string) (*spec.Class, error) { return class, nil }},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(eng.Close)
	req := engine.Request{Dialect: "test", Parameters: map[string]string{"objects": text}, Identity: web}
	return func() error {
		_, err := eng.Mount(b.Context(), req)
		return err
	}
}
