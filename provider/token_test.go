package provider_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/provider"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/storetest"
)

// A mount without a token for the store, such as one of the sync controller's
// or of a kubelet that is late, says nothing about the service account's value.
func TestAPodWithoutATokenTakesNoValueFromTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := storetest.NewMemory()
		memory.Put("a", "v")
		config := provider.DefaultConfig()
		config.Stores = map[string]provider.StoreConfig{"memory": {Type: "memory"}}
		class := &provider.Class{Objects: []provider.Object{{Path: "a", Store: "memory", Key: "a"}}}
		engine, err := provider.New(provider.Options{
			Config: config, Types: []store.Type{needsToken{memory}}, Calls: store.NewCalls(1), Metrics: prometheus.NewRegistry(),
			Dialects: map[string]provider.Dialect{"test": func(map[string]string) (*provider.Class, error) { return class, nil }},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer engine.Close()
		mount := func(as identity.Identity) error {
			_, err := engine.Mount(context.Background(), provider.Request{Dialect: "test", Identity: as})
			return err
		}
		with, without := web, pod("prod/web", "web-2")
		with.Tokens = map[string]identity.Token{"store": {JWT: secret.NewString("token")}}
		if err := mount(with); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute) // past the refresh, well within staleOnError
		memory.Behave = unavailable
		wantError(t, mount(without), provider.ErrPrecondition)
		if err := mount(with); err != nil {
			t.Errorf("the pod with a token lost its value: %v", err)
		}
	})
}
