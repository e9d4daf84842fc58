package vaultserver_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
	"github.com/lanyardhq/lanyard/integration/vaultserver"
)

func TestServerSealsAndUnseals(t *testing.T) {
	vault := vaultserver.New(t, vaultserver.Options{})
	vault.Must(t, http.MethodPost, "sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]any{"version": "2"}})
	if err := vault.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := vault.Call(t.Context(), http.MethodGet, "sys/mounts", nil, nil); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("a sealed server answered %v, want 503", err)
	}
	if err := vault.Unseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	vault.Must(t, http.MethodGet, "sys/mounts/secret", nil)
}

func TestProxyCountsAndBreaks(t *testing.T) {
	vault := vaultserver.New(t, vaultserver.Options{})
	proxy, err := faultproxy.New(vault.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	through := *vault
	through.Address = proxy.Address

	for name, fault := range map[string]faultproxy.Fault{
		"429":       {Status: http.StatusTooManyRequests, Times: 1},
		"refuse":    {Refuse: true, Method: http.MethodGet, Times: 1},
		"hangup":    {Hangup: true, Prefix: "sys/mou", Times: 1},
		"half body": {HalfBody: true, Times: 1},
	} {
		proxy.Add(fault)
		// A client may send a GET again on a connection that was closed.
		if err := through.Call(context.Background(), http.MethodGet, "sys/mounts/cubbyhole", nil, nil); err == nil && name != "refuse" && name != "hangup" {
			t.Errorf("%s: the request succeeded", name)
		}
		through.Must(t, http.MethodGet, "sys/mounts/cubbyhole", nil)
		proxy.Clear()
	}
	proxy.Reset()
	through.Must(t, http.MethodGet, "sys/mounts/cubbyhole", nil)
	if got := proxy.Count(http.MethodGet, "sys/mounts"); got != 1 || len(proxy.Requests()) != 1 || proxy.Requests()[0].Status != 200 {
		t.Errorf("counted %d requests: %+v, want 1 with status 200", got, proxy.Requests())
	}
}
