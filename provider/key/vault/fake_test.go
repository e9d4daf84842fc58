package vault_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
)

// fakeTransit is a Vault 1.13 or later as far as Transit keys that are not
// derived need it: with associated data, which the Vault of the integration
// tests does not have. Its ciphertexts are as Vault makes them.
type fakeTransit struct {
	*httptest.Server
	backendtest.Throttler
	backendtest.Rewriting // of the answers to calls with a key

	mu    sync.Mutex
	keys  map[string]*fakeKey
	token string
	// answer, if set, is what every call but a login is answered.
	answer func(w http.ResponseWriter, path string) bool
	calls  map[string]int // by path
}

type fakeKey struct {
	about    map[string]any
	versions []cipher.AEAD
}

func newFake(t *testing.T) *fakeTransit {
	t.Helper()
	f := &fakeTransit{keys: map[string]*fakeKey{}, token: "hvs.planted-token", calls: map[string]int{}}
	f.Server = httptest.NewServer(f.Wrap(f.Rewriter(f, func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/v1/transit/") })))
	t.Cleanup(f.Close)
	f.add(t, "kms", nil)
	f.add(t, "other", nil)
	return f
}

func (f *fakeTransit) add(t *testing.T, name string, about map[string]any) {
	t.Helper()
	all := map[string]any{"type": "aes256-gcm96", "derived": false, "imported_key": false}
	maps.Copy(all, about)
	f.mu.Lock()
	f.keys[name] = &fakeKey{about: all}
	f.mu.Unlock()
	f.rotate(t, name)
}

func (f *fakeTransit) rotate(t *testing.T, name string) {
	t.Helper()
	plain := make([]byte, 32)
	if _, err := rand.Read(plain); err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(plain)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys[name].versions = append(f.keys[name].versions, aead)
	f.keys[name].about["latest_version"] = len(f.keys[name].versions)
}

func (f *fakeTransit) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	f.calls[path]++
	var body map[string]string
	if r.Method == http.MethodPost {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			refuse(w, 400, "error parsing JSON")
			return
		}
	}
	if strings.HasPrefix(path, "auth/") {
		f.authenticate(w, r, path, body)
		return
	}
	if r.Header.Get("X-Vault-Token") != f.token {
		refuse(w, 403, "permission denied")
		return
	}
	if f.answer != nil && f.answer(w, path) {
		return
	}
	operation, name, _ := strings.Cut(strings.TrimPrefix(path, "transit/"), "/")
	key := f.keys[name]
	switch {
	case !strings.HasPrefix(path, "transit/"):
		refuse(w, 404, "no handler for route '"+path+"'")
	case key == nil && operation == "keys":
		refuse(w, 404)
	case key == nil:
		refuse(w, 400, "encryption key not found")
	case operation == "keys":
		give(w, key.about)
	case operation == "encrypt":
		key.encrypt(w, body)
	case operation == "decrypt":
		key.decrypt(w, body)
	}
}

func (f *fakeTransit) authenticate(w http.ResponseWriter, r *http.Request, path string, body map[string]string) {
	switch {
	case path == "auth/approle/login" && body["secret_id"] == "planted-secret-id",
		path == "auth/token/lookup-self" && r.Header.Get("X-Vault-Token") == f.token:
		_, _ = fmt.Fprintf(w, `{"request_id":"1","data":{"ttl":0},"auth":{"client_token":%q,"lease_duration":3600}}`, f.token)
	default:
		refuse(w, 400, "invalid role or secret ID")
	}
}

func (k *fakeKey) encrypt(w http.ResponseWriter, body map[string]string) {
	plain, err := base64.StdEncoding.DecodeString(body["plaintext"])
	associated, wrong := base64.StdEncoding.DecodeString(body["associated_data"])
	if err != nil || wrong != nil || len(plain) == 0 {
		refuse(w, 400, "illegal base64 data at input byte 0")
		return
	}
	aead := k.versions[len(k.versions)-1]
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce)
	sealed := aead.Seal(nonce, nonce, plain, associated)
	give(w, map[string]any{
		"ciphertext":  fmt.Sprintf("vault:v%d:%s", len(k.versions), base64.StdEncoding.EncodeToString(sealed)),
		"key_version": len(k.versions),
	})
}

func (k *fakeKey) decrypt(w http.ResponseWriter, body map[string]string) {
	var version int
	var encoded string
	associated, wrong := base64.StdEncoding.DecodeString(body["associated_data"])
	if _, err := fmt.Sscanf(body["ciphertext"], "vault:v%d:%s", &version, &encoded); err != nil || wrong != nil {
		refuse(w, 400, "invalid ciphertext: no prefix")
		return
	}
	sealed, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || version < 1 || version > len(k.versions) || len(sealed) < 12 {
		refuse(w, 400, "invalid ciphertext: version is too new")
		return
	}
	plain, err := k.versions[version-1].Open(nil, sealed[:12], sealed[12:], associated)
	if err != nil {
		refuse(w, 400, "cipher: message authentication failed")
		return
	}
	give(w, map[string]any{"plaintext": base64.StdEncoding.EncodeToString(plain)})
}

func give(w http.ResponseWriter, data map[string]any) {
	write(w, map[string]any{"request_id": "1", "data": data})
}

func refuse(w http.ResponseWriter, status int, reasons ...string) {
	w.WriteHeader(status)
	write(w, map[string]any{"errors": append([]string{}, reasons...)})
}

func write(w http.ResponseWriter, answer any) {
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		panic(http.ErrAbortHandler)
	}
}
