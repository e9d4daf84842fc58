package azure_test

import (
	"net/http"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/azure"
	"github.com/lanyardhq/lanyard/provider/store/storetest"
)

func TestCallsToKeyVaultLeaveTheNodeAsTheyShould(t *testing.T) {
	storetest.Network(t, azuretest.LoginName, func(t *testing.T) *storetest.Fixture {
		f := newFixture(t)
		return &storetest.Fixture{Type: azure.NewType(azure.Options{}), Settings: f.settings(nil), Identity: f.pod("prod/web"), Put: func(_ *testing.T, name, value string) store.Reference {
			f.vault.Put(name, value)
			return store.Reference{Key: "secrets/" + name}
		}, Refused: func(t *testing.T) store.Reference {
			t.Helper()
			f.azure.Add(azuretest.Fault{Action: "get secrets", Status: http.StatusBadRequest, Code: "BadParameter", Message: "not so"})
			return store.Reference{Key: "secrets/db"}
		}}
	})
}
