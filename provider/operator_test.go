package provider_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/provider"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/vault"
)

// A setting that classes may give may be missing from the operator's file; one
// that is there is the operator's, and no class can mend it.
func TestWhatTheOperatorSetsWronglyIsToldEvenWhereClassesMaySetIt(t *testing.T) {
	for name, c := range map[string]struct {
		fields map[string]any
		wrong  string // the field that is reported; empty for none
	}{
		"role left to the classes": {map[string]any{"auth": map[string]any{"method": "kubernetes"}}, ""},
		"empty role":               {map[string]any{"auth": map[string]any{"method": "kubernetes", "role": ""}}, "stores.v.auth.role"},
		"audience":                 {map[string]any{"auth": map[string]any{"method": "kubernetes", "audience": "a b"}}, "stores.v.auth.audience"},
		"namespace":                {map[string]any{"auth": map[string]any{"method": "jwt"}, "namespace": "/team"}, "stores.v.namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			config := provider.DefaultConfig()
			fields := maps.Clone(c.fields)
			fields["address"] = "https://vault.example.com"
			config.Stores = map[string]provider.StoreConfig{"v": {Type: "vault", Fields: fields}}
			engine, err := provider.New(provider.Options{
				Config: config, Types: []store.Type{vault.NewType(vault.Options{})}, Calls: store.NewCalls(1), Metrics: prometheus.NewRegistry(),
			})
			if engine != nil {
				engine.Close()
			}
			var problems provider.Problems
			switch {
			case c.wrong == "" && err != nil:
				t.Errorf("New: %v", err)
			case c.wrong != "" && (!errors.As(err, &problems) || len(problems) != 1 || !strings.HasPrefix(problems[0].Field, c.wrong)):
				t.Errorf("New: %v; want one problem, of %s", err, c.wrong)
			}
		})
	}
}
