package stores

import (
	"testing"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/storetest"
	"github.com/lanyardhq/lanyard/provider/store/vault"
)

func TestVaultMeetsTheStoreContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *storetest.Fixture {
		f := newFixture(t, shared)
		stranger := f.podOf(t, "prod", "stranger")
		settings := func(change func(map[string]any)) store.Settings {
			fields := f.settings()
			change(fields)
			return store.Settings{Fields: fields}
		}
		return &storetest.Fixture{
			Type:     vault.NewType(vault.Options{}),
			Settings: settings(func(map[string]any) {}),
			Identity: f.pod,
			Stranger: &stranger,
			Put: func(t *testing.T, name, value string) store.Reference {
				return f.put(t, name, map[string]any{"value": value})
			},
			Answers: &storetest.Answers{
				Settings: settings(func(s map[string]any) { s["retries"] = 0 }),
				Rewrite:  f.rewrite(), Values: []string{"data.data"},
				// It tells KV version 1 and 2 apart.
				Free:      []string{"lease_duration"},
				Throttled: backendtest.Throttling{"read": f.throttling(f.kv2()), "login": f.throttling("auth/")},
			},
			Want:    func(value string) string { return `{"value":"` + value + `"}` },
			Missing: store.Reference{Key: f.kv2() + "/data/missing"},
			Invalid: map[string]store.Reference{
				"no key":         {},
				"parent folder":  {Key: f.kv2() + "/data/../x"},
				"query":          {Key: f.kv2() + "/data/x?version=1"},
				"version":        {Key: f.kv2() + "/data/x", Version: "latest"},
				"unknown option": {Key: f.kv2() + "/data/x", Options: map[string]any{"metod": "GET"}},
			},
			InvalidSettings: map[string]store.Settings{
				"address":        settings(func(s map[string]any) { s["address"] = "vault" }),
				"auth.tokenFile": settings(func(s map[string]any) { s["auth"] = map[string]any{"method": "tokenFile", "tokenFile": "/t"} }),
				"auth.method":    settings(func(s map[string]any) { s["auth"] = map[string]any{} }),
			},
			Fail: func(*testing.T) { f.proxy.Add(faultproxy.Fault{Refuse: true}) },
		}
	})
}
