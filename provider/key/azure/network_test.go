package azure_test

import (
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/key/azure"
	"github.com/lanyardhq/lanyard/provider/key/keytest"
)

func TestCallsGoThroughTheProxy(t *testing.T) {
	for name, asPod := range map[string]bool{"as the node": false, "as a pod": true} {
		t.Run(name, func(t *testing.T) {
			keytest.Network(t, azuretest.LoginName, func(t *testing.T) *keytest.Fixture {
				f := newFixture(t)
				if asPod {
					return &keytest.Fixture{Type: azure.NewType(azure.Options{}), Settings: f.settings(nil), Identity: f.pod(t, "prod/web")}
				}
				return &keytest.Fixture{Type: azure.NewType(azure.Options{}), Settings: f.asNode(nil)}
			})
		})
	}
}
