package vault

import (
	"testing"

	"github.com/lanyardhq/lanyard/provider/key/keytest"
)

func TestEverySettingIsDecidedOn(t *testing.T) {
	known := map[string]any{"knownAs": "vault"}
	keytest.RunSettings(t, NewType(Options{}), &settings{}, map[string]any{
		"address": "https://vault.example.com", "key": "kms",
		"auth": map[string]any{"method": "approle", "roleID": "r", "secretIDFile": "/s"},
	}, map[string]keytest.Setting{
		"key":       {Part: keytest.InName, To: "other"},
		"mount":     {Part: keytest.InName, To: "other"},
		"namespace": {Part: keytest.InName, To: "other"},
		"knownAs":   {Part: keytest.InName, To: "other"},
		"binding":   {Part: keytest.InFixed, To: bindPayload},
		// Without knownAs the address is the name; with it the Vault may move.
		"address": {Part: keytest.Reach, With: known, To: "https://other.example.com"},
		"tls":     {Part: keytest.Reach, To: map[string]any{"serverName": "other"}},
		"auth":    {Part: keytest.Reach, To: map[string]any{"method": "tokenFile", "tokenFile": "/t"}},
		"timeout": {Part: keytest.Reach, To: "7s"},
		"retries": {Part: keytest.Reach, To: 5},
		// Its file is read when the key is opened for use.
		"headersFile": {Part: keytest.Reach, To: "/headers"},
	})
}
