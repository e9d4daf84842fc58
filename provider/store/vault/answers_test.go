package vault

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/storetest"
)

// The contract is held by the real Vault, in integration/stores.
func FuzzAnswers(f *testing.F) {
	storetest.Fuzz(f, func(t *testing.T) *storetest.Fixture {
		t.Helper()
		var answers backendtest.Rewriting
		value := ""
		server := httptest.NewServer(answers.Rewriter(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasSuffix(r.URL.Path, "/login"):
				_, _ = w.Write([]byte(`{"request_id":"1","auth":{"client_token":"t","lease_duration":3600}}`))
			case r.Method != http.MethodGet:
				w.WriteHeader(http.StatusNoContent)
			default:
				_, _ = fmt.Fprintf(w, `{"request_id":"1","lease_id":"","renewable":false,"lease_duration":0,"data":{"data":{"value":%q},"metadata":{"created_time":"2026-01-01T00:00:00Z","custom_metadata":null,"deletion_time":"","destroyed":false,"version":1}},"wrap_info":null,"warnings":null,"auth":null,"mount_type":"kv"}`, value)
			}
		}), func(r *http.Request) bool { return r.Method == http.MethodGet }))
		t.Cleanup(server.Close)
		settings := store.Settings{Fields: kubernetes(map[string]any{"address": server.URL, "retries": 0}), ByOperator: true}
		return &storetest.Fixture{
			Type: NewType(Options{}), Settings: settings,
			Identity: identity.Identity{Namespace: "prod", ServiceAccount: "web", Tokens: map[string]identity.Token{"vault": {JWT: secret.NewString("jwt")}}},
			Put: func(_ *testing.T, name, held string) store.Reference {
				value = held
				return store.Reference{Key: "secret/data/" + name}
			},
			Answers: &storetest.Answers{Settings: settings, Rewrite: answers.Rewrite},
		}
	})
}
