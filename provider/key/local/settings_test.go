package local

import (
	"testing"

	"github.com/lanyardhq/lanyard/provider/key/keytest"
)

func TestEverySettingIsDecidedOn(t *testing.T) {
	keytest.RunSettings(t, NewType(), &settings{}, map[string]any{"file": "/one"}, map[string]keytest.Setting{
		"file": {Part: keytest.InName, To: "/other"},
	})
}
