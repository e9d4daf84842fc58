package gcp_test

import (
	"testing"

	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/gcp"
	"github.com/lanyardhq/lanyard/provider/store/storetest"
)

func TestCallsToSecretManagerLeaveTheNodeAsTheyShould(t *testing.T) {
	storetest.Network(t, "double.example.com", func(t *testing.T) *storetest.Fixture {
		c := newCloud(t)
		return &storetest.Fixture{Type: gcp.NewType(gcp.Options{}), Settings: c.settings(unchanged), Identity: c.web, Put: func(_ *testing.T, name, value string) store.Reference {
			c.Put(project+"/secrets/"+name, []byte(value))
			return store.Reference{Key: project + "/secrets/" + name}
		}, Refused: func(t *testing.T) store.Reference {
			t.Helper()
			return store.Reference{Key: project + "/secrets/missing"}
		}}
	})
}
