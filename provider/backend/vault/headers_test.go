package vault

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

func headersFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "headers")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEveryCallCarriesTheHeadersOfTheFileAsItIsNow(t *testing.T) {
	path := headersFile(t, `{"cf-access-client-id": "id", "X-Tenant": "shop"}`)
	var seen http.Header
	c := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"errors":["no, ` + r.Header.Get("X-Tenant") + `"]}`))
	})
	c.headersFile = path
	call := func() (*Response, error) {
		return c.call(t.Context(), Request{Method: http.MethodGet, Path: "a", token: secret.NewString("hvs.token")})
	}
	if _, err := call(); err != nil || seen.Get("Cf-Access-Client-Id") != "id" || seen.Get("X-Tenant") != "shop" || seen.Get("X-Vault-Token") != "hvs.token" {
		t.Fatalf("headers %v, error %v", seen, err)
	}
	if err := os.WriteFile(path, []byte("X-Tenant: planted-value\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	resp, err := call()
	if err != nil || seen.Get("X-Tenant") != "planted-value" || seen.Get("Cf-Access-Client-Id") != "" {
		t.Fatalf("headers %v, error %v", seen, err)
	}
	if said := resp.Said(); strings.Contains(said, "planted") || !strings.Contains(said, "[redacted]") {
		t.Errorf("the error says %q", said)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := call(); !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "headersFile: ") {
		t.Errorf("without the file: %v", err)
	}
}

func TestHeadersThatCannotBeSetAreRefusedByName(t *testing.T) {
	for content, want := range map[string]string{
		"":                                  "holds no headers",
		"[planted]":                         "holds no headers",
		"{planted":                          "holds no headers",
		"X-A: [planted]":                    "holds no headers",
		"X-A: {b: planted}":                 "holds no headers",
		"authorization: planted":            "Authorization has a meaning of its own",
		"HOST: planted":                     "Host has a meaning of its own",
		"x-vault-token: planted":            "X-Vault-Token has a meaning of its own",
		"X-Vault-Namespace: planted":        "X-Vault-Namespace has a meaning of its own",
		"Proxy-Authorization: planted":      "Proxy-Authorization has a meaning of its own",
		"transfer-encoding: planted":        "Transfer-Encoding has a meaning of its own",
		"Content-Length: planted":           "Content-Length has a meaning of its own",
		"\"X-A\\r\\nX-B\": planted":         "is no name of a header",
		"\"X A\": planted":                  "is no name of a header",
		"X-A: \"planted\\r\\nX-B: c\"":      "the value of X-A has control characters",
		strings.Repeat("- planted\n", 9000): "",
	} {
		_, err := readHeaders(headersFile(t, content))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "planted") {
			t.Errorf("%.40q: %v", content, err)
		}
	}
	shared := headersFile(t, "X-A: planted")
	if err := os.Chmod(shared, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readHeaders(shared); err == nil {
		t.Error("a file that others may read is read")
	}
}

func TestVaultMayLieBelowAPathOfItsHost(t *testing.T) {
	var paths []string
	c := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.EscapedPath())
		_, _ = w.Write([]byte(`{"request_id":"1","data":{}}`))
	})
	below := *c.address
	below.Path = "/behind/vault"
	c.address = &below
	for _, path := range []string{"secret/data/a", "auth/kubernetes/login", "a b"} {
		if _, err := c.call(t.Context(), Request{Method: http.MethodGet, Path: path}); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := strings.Join(paths, " "), "/behind/vault/v1/secret/data/a /behind/vault/v1/auth/kubernetes/login /behind/vault/v1/a%20b"; got != want {
		t.Errorf("called %s, want %s", got, want)
	}
}
