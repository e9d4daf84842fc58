package azure

import (
	"testing"

	"github.com/lanyardhq/lanyard/provider/key/keytest"
)

func TestEverySettingIsDecidedOn(t *testing.T) {
	keytest.RunSettings(t, NewType(Options{}), &settings{}, map[string]any{"vault": "one", "key": "kms"}, map[string]keytest.Setting{
		"key":     {Part: keytest.InName, To: "other"},
		"vault":   {Part: keytest.InName, To: "other"},
		"hsm":     {Part: keytest.InName, With: map[string]any{"vault": nil, "hsm": "one"}, To: "other"},
		"address": {Part: keytest.InName, With: map[string]any{"vault": nil, "address": "https://one.vault.azure.net"}, To: "https://other.vault.azure.net"},
		// The name of a vault is its address, which these complete.
		"cloud":     {Part: keytest.InName, To: "china"},
		"dnsSuffix": {Part: keytest.InName, With: map[string]any{"authorityHost": "https://login.example.com", "resource": "https://vault.example.com"}, To: "vault.example.com"},
		// It only fills in the three settings that are there by name.
		"environmentFile": {Part: keytest.InName},
		"algorithm":       {Part: keytest.InFixed, To: "A256KW"},
		"authorityHost":   {Part: keytest.Reach, To: "https://login.example.com"},
		"resource":        {Part: keytest.Reach, To: "https://vault.example.com"},
		"endpoint":        {Part: keytest.Reach, To: "127.0.0.1:8443"},
		"apiVersion":      {Part: keytest.Reach, To: "7.5"},
		"tenantID":        {Part: keytest.Reach, To: "00000000-0000-0000-0000-000000000001"},
		"auth":            {Part: keytest.Reach, To: map[string]any{"method": "managedIdentity"}},
		"tokenProxy":      {Part: keytest.Reach, To: map[string]any{"url": "https://proxy", "serverName": "a.ests.aks"}},
		"tls":             {Part: keytest.Reach, To: map[string]any{"caCertFile": "/ca.pem"}},
		"timeout":         {Part: keytest.Reach, To: "7s"},
		"retries":         {Part: keytest.Reach, To: 3},
	})
}
