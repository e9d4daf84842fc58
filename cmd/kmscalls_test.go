package cmd

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// Keys of one Vault differ in more than their names: one may be of a namespace
// or a mount that hangs.
func TestAKeyThatHangsKeepsNoOtherKeyAtItsAddressWaiting(t *testing.T) {
	const each = 64 // the Decrypts of one key
	var hanging sync.WaitGroup
	hanging.Add(each)
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/decrypt/hangs"):
			hanging.Done()
			<-over
		case strings.HasSuffix(r.URL.Path, "/encrypt/works"):
			fmt.Fprintf(w, `{"data":{"ciphertext":"vault:v1:%s","key_version":1}}`, base64.StdEncoding.EncodeToString(make([]byte, 64)))
		case strings.HasSuffix(r.URL.Path, "/keys/works"):
			fmt.Fprint(w, `{"data":{"type":"aes256-gcm96","derived":true,"convergent_encryption":false,"imported_key":false,"latest_version":1}}`)
		default:
			fmt.Fprint(w, `{"data":{"ttl":0,"renewable":false,"type":"service"}}`)
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(over) })
	directory := t.TempDir()
	token, path := filepath.Join(directory, "token"), filepath.Join(directory, "ring.yaml")
	text := "kind: lanyard.kms-ring.v1\nkeys:\n"
	for name, state := range map[string]string{"hangs": "read", "works": "write"} {
		text += fmt.Sprintf("- {name: %s, state: %s, service: {type: vault, key: %s, address: %q, retries: 0, timeout: 1m, auth: {method: tokenFile, tokenFile: %s}}}\n", name, state, name, server.URL, token)
	}
	for file, content := range map[string]string{token: "hvs.planted", path: text} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, err := loadRing(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Ring.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var calls sync.WaitGroup
	defer calls.Wait()
	defer cancel()
	hangs := file.Ring.ByName("hangs")
	for range each {
		calls.Go(func() {
			release, err := hangs.Slot(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			defer release()
			if _, err := hangs.Decrypt(ctx, key.Ciphertext{Data: []byte("vault:v1:" + base64.StdEncoding.EncodeToString(make([]byte, 64))), Version: "v1"}); err == nil {
				t.Error("it decrypts")
			}
		})
	}
	hanging.Wait()
	others, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	if _, err := file.Ring.ByName("works").Encrypt(others, secret.NewString("seed")); err != nil {
		t.Error(err)
	}
}
