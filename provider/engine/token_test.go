package engine_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
)

// A mount without a token for the store, such as one of the sync controller's
// or of a kubelet that is late, says nothing about the service account's value.
func TestAPodWithoutATokenTakesNoValueFromTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := NewMemory()
		memory.Put("a", "v")
		cfg := config.Default()
		cfg.Stores = map[string]config.Store{"memory": {Type: "memory"}}
		class := &spec.Class{Objects: []spec.Object{{Path: "a", Store: "memory", Key: "a"}}}
		eng, err := engine.New(engine.Options{
			Config: cfg, Types: []store.Type{needsToken{memory}}, Calls: remote.NewCalls(1), Metrics: prometheus.NewRegistry(),
			Dialects: map[string]spec.Dialect{"test": func(map[string]string) (*spec.Class, error) { return class, nil }},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer eng.Close()
		mount := func(as identity.Identity) error {
			_, err := eng.Mount(context.Background(), engine.Request{Dialect: "test", Identity: as})
			return err
		}
		with, without := web, pod("prod/web", "web-2")
		with.Tokens = map[string]identity.Token{"store": {JWT: secret.NewString("token")}}
		if err := mount(with); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute) // past the refresh, well within staleOnError
		memory.Behave = unavailable
		wantError(t, mount(without), fault.ErrPrecondition)
		if err := mount(with); err != nil {
			t.Errorf("the pod with a token lost its value: %v", err)
		}
	})
}
