package vault

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"

	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
)

func TestWhatVaultWarnsOfIsLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	klog.SetLogger(textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(&log))))
	t.Cleanup(klog.ClearLogger)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/login") {
			_, _ = w.Write([]byte(`{"auth":{"client_token":"hvs.token","lease_duration":60}}`))
			return
		}
		_, _ = w.Write([]byte(`{"request_id":"1","data":{"a":"planted"},"warnings":["TTL of planted is capped"]}`))
	}))
	defer server.Close()
	opened, err := NewType(Options{}).Open(store.Settings{Fields: kubernetes(map[string]any{"address": server.URL}), ByOperator: true})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	pod := identity.Identity{Tokens: map[string]identity.Token{"vault": {JWT: secret.NewString("jwt")}}}
	for range 3 {
		if _, err := opened.Read(t.Context(), pod, store.Reference{Key: "kv/a"}); err != nil {
			t.Fatal(err)
		}
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, `warning="TTL of [redacted] is capped"`) || !strings.Contains(text, `request="GET kv/a"`) {
		t.Errorf("the log says %s", text)
	}
}
