package vault_test

import (
	"testing"

	"github.com/lanyardhq/lanyard/provider/key/keytest"
	"github.com/lanyardhq/lanyard/provider/key/vault"
)

func TestCallsGoThroughTheProxy(t *testing.T) {
	keytest.Network(t, "double.example.com", func(t *testing.T) *keytest.Fixture {
		return &keytest.Fixture{Type: vault.NewType(vault.Options{}), Settings: newFake(t).settings(t, nil)}
	})
}
