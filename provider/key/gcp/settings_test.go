package gcp

import (
	"testing"

	"github.com/lanyardhq/lanyard/provider/key/keytest"
)

func TestEverySettingIsDecidedOn(t *testing.T) {
	const name = "projects/p/locations/europe-west3/keyRings/r/cryptoKeys/"
	keytest.RunSettings(t, NewType(Options{}), &settings{}, map[string]any{"key": name + "one"}, map[string]keytest.Setting{
		"key":      {Part: keytest.InName, To: name + "other"},
		"endpoint": {Part: keytest.Reach, To: "https://kms.example.com"},
		"tls":      {Part: keytest.Reach, To: map[string]any{"caCertFile": "/ca.pem"}},
		"auth":     {Part: keytest.Reach, To: map[string]any{"method": "metadata"}},
		"timeout":  {Part: keytest.Reach, To: "7s"},
		"retries":  {Part: keytest.Reach, To: 5},
	})
}
