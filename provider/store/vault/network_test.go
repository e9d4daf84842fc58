package vault

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/storetest"
)

func TestCallsToVaultLeaveTheNodeAsTheyShould(t *testing.T) {
	storetest.Network(t, "double.example.com", func(t *testing.T) *storetest.Fixture {
		var held sync.Map
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			path := strings.TrimPrefix(r.URL.Path, "/v1/")
			value, ok := held.Load(path)
			switch {
			case strings.HasSuffix(path, "/login"):
				_, _ = w.Write([]byte(`{"request_id":"1","auth":{"client_token":"t","lease_duration":60}}`))
			case ok:
				_ = json.NewEncoder(w).Encode(map[string]any{"request_id": "1", "data": map[string]any{"value": value}})
			default:
				w.WriteHeader(http.StatusBadRequest)
				_, _ = w.Write([]byte(`{"errors":["not so"]}`))
			}
		}))
		t.Cleanup(server.Close)
		return &storetest.Fixture{
			Type: NewType(Options{}), Settings: store.Settings{Fields: kubernetes(map[string]any{"address": server.URL}), ByOperator: true},
			Identity: identity.Identity{Tokens: map[string]identity.Token{"vault": {JWT: secret.NewString("jwt")}}},
			Put: func(_ *testing.T, name, value string) store.Reference {
				held.Store("kv/"+name, value)
				return store.Reference{Key: "kv/" + name}
			},
			Refused: func(t *testing.T) store.Reference { t.Helper(); return store.Reference{Key: "kv/missing"} },
			Want:    func(value string) string { return `{"value":"` + value + `"}` },
		}
	})
}
