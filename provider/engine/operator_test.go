package engine_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/vault"
)

// A setting that classes may give may be missing from the operator's file; one
// that is there is the operator's, and no class can fix it.
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
			cfg := config.Default()
			fields := maps.Clone(c.fields)
			fields["address"] = "https://vault.example.com"
			cfg.Stores = map[string]config.Store{"v": {Type: "vault", Fields: fields}}
			eng, err := engine.New(engine.Options{
				Config: cfg, Types: []store.Type{vault.NewType(vault.Options{})}, Calls: remote.NewCalls(1), Metrics: prometheus.NewRegistry(),
			})
			if eng != nil {
				eng.Close()
			}
			var problems spec.Problems
			switch {
			case c.wrong == "" && err != nil:
				t.Errorf("New: %v", err)
			case c.wrong != "" && (!errors.As(err, &problems) || len(problems) != 1 || !strings.HasPrefix(problems[0].Field, c.wrong)):
				t.Errorf("New: %v; want one problem, of %s", err, c.wrong)
			}
		})
	}
}
