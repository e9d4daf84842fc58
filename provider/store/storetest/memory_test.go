package storetest_test

import (
	"testing"

	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/storetest"
)

func TestMemoryMeetsTheContract(t *testing.T) { meetsTheContract(t, 0) }

func TestMemoryThatReadsInBatchesMeetsTheContract(t *testing.T) { meetsTheContract(t, 5) }

func meetsTheContract(t *testing.T, batch int) {
	t.Helper()
	storetest.Run(t, func(*testing.T) *storetest.Fixture {
		m := storetest.NewMemory()
		m.Batch = batch
		m.Deny("prod/stranger")
		return &storetest.Fixture{
			Type:     m,
			Settings: store.Settings{Fields: map[string]any{"address": "here"}},
			Identity: identity.Identity{Namespace: "prod", ServiceAccount: "web"},
			Stranger: &identity.Identity{Namespace: "prod", ServiceAccount: "stranger"},
			Put: func(_ *testing.T, name, value string) store.Reference {
				m.Put(name, value)
				return store.Reference{Key: name}
			},
			Missing:         store.Reference{Key: "missing"},
			Invalid:         map[string]store.Reference{"no key": {}, "options": {Key: "a", Options: map[string]any{"x": 1}}},
			InvalidSettings: map[string]store.Settings{"adress": {Fields: map[string]any{"adress": "here"}}},
		}
	})
}
