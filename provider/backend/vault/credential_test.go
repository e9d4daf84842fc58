package vault

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/identity"
)

// The token of the file logs in for the node, whoever asks, and is read again
// at each login, because what writes it renews it.
func TestAJWTFileLogsTheNodeIn(t *testing.T) {
	var sent []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/login") {
			body := make([]byte, r.ContentLength)
			_, _ = r.Body.Read(body)
			sent = append(sent, string(body))
			_, _ = w.Write([]byte(`{"auth":{"client_token":"t","lease_duration":60,"num_uses":2}}`))
			return
		}
		_, _ = w.Write([]byte(`{"request_id":"1","data":{"a":"b"}}`))
	}))
	defer server.Close()
	path := filepath.Join(t.TempDir(), "jwt")
	connection := connect(t, NewPool(Options{}), func(s *Settings) { s.Address, s.Auth.JWTFile = server.URL, path })
	defer connection.Close()
	if !connection.UsesNode() {
		t.Error("the file is not known to be the node's")
	}
	if _, _, err := connection.Call(t.Context(), identity.Identity{}, get); err == nil || !strings.Contains(err.Error(), "auth.jwtFile: ") {
		t.Errorf("without the file: error %v", err)
	}
	for _, token := range []string{"first", "second"} {
		if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := connection.Call(t.Context(), identity.Identity{}, get); err != nil {
			t.Fatal(err)
		}
	}
	if want := `{"jwt":"first","role":"web"}|{"jwt":"second","role":"web"}`; strings.Join(sent, "|") != want {
		t.Errorf("logged in with %s, want %s", sent, want)
	}
}
