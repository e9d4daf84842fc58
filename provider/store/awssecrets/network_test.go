package awssecrets_test

import (
	"testing"

	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/storetest"
)

func TestCallsToSecretsManagerLeaveTheNodeAsTheyShould(t *testing.T) {
	storetest.Network(t, "double.example.com", func(t *testing.T) *storetest.Fixture {
		f := newFixture(t)
		return &storetest.Fixture{Type: f.typ, Settings: f.settings(nil), Identity: f.pod(t, "prod/web"), Put: func(_ *testing.T, name, value string) store.Reference {
			f.PutSecret(ireland, name, value)
			return store.Reference{Key: name}
		}, Refused: func(t *testing.T) store.Reference {
			t.Helper()
			return store.Reference{Key: "prod/missing"}
		}}
	})
}
