package provider_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/provider"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/storetest"
)

// BenchmarkRepeatMount is what a poll costs in the engine when nothing has
// changed: 20 objects of 1 KiB, half of them properties.
func BenchmarkRepeatMount(b *testing.B) {
	memory := storetest.NewMemory()
	class := &provider.Class{}
	text := ""
	for i := range 20 {
		key := fmt.Sprint("key", i)
		memory.Put(key, `{"v":"`+strings.Repeat("x", 1024)+`"}`)
		o := provider.Object{Path: fmt.Sprint("file", i), Store: "memory", Key: key}
		if i%2 == 0 {
			o.Property = "v"
		}
		class.Objects = append(class.Objects, o)
		text += fmt.Sprintf("- path: file%d\n  store: memory\n  key: key%d\n  property: v\n", i, i)
	}
	config := provider.DefaultConfig()
	config.Stores = map[string]provider.StoreConfig{"memory": {Type: "memory"}}
	engine, err := provider.New(provider.Options{
		Config: config, Types: []store.Type{memory}, Calls: store.NewCalls(1), Metrics: prometheus.NewRegistry(),
		Dialects: map[string]provider.Dialect{"test": func(map[string]string) (*provider.Class, error) { return class, nil }},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(engine.Close)
	req := provider.Request{Dialect: "test", Parameters: map[string]string{"objects": text}, Identity: web}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := engine.Mount(b.Context(), req); err != nil {
				b.Fatal(err)
			}
		}
	})
}
