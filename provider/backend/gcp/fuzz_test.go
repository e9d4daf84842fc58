package gcp

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// Whatever a pod brings as its key, the answer shows nothing of it.
func FuzzKey(f *testing.F) {
	f.Add(`{"type":"service_account","client_email":"web@shop.iam.gserviceaccount.com","private_key":"-----BEGIN PRIVATE KEY-----\nTUlJ\n-----END PRIVATE KEY-----\n"}`)
	f.Add(`{"type":"external_account","credential_source":{"executable":{"command":"/bin/sh"}}}`)
	f.Add(`{"type":["service_account"]}`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, text string) {
		const planted = "planted-7d1c3"
		key, problem := parseKey(secret.NewString(text))
		if problem == "" && (key.Type != "service_account" || !isAccount(key.Email)) {
			t.Errorf("a key of %q for %q was accepted", key.Type, key.Email)
		}
		if _, problem = parseKey(secret.NewString(strings.ReplaceAll(text, "web", planted))); strings.Contains(problem, planted) {
			t.Errorf("the problem shows the key: %s", problem)
		}
	})
}

// What a server answers with a failure is told in one short line of text.
func FuzzReason(f *testing.F) {
	f.Add([]byte(`{"error":"invalid_grant","error_description":"ID Token is stale"}`))
	f.Add([]byte(`{"error":{"code":403,"message":"denied\n<b>","status":"PERMISSION_DENIED"}}`))
	f.Add([]byte(`{"error":{"message":7}}`))
	f.Add([]byte(`<html>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		told := remote.Speaker{Host: "a.example.com"}.Said((&recorder{body: body}).reason(), secret.NewString("the-token"))
		if len(told) > 10*400 || strings.ContainsAny(told, "\n\r\x1b") || strings.Contains(told, "the-token") || !utf8.ValidString(told) {
			t.Errorf("%q is told as %q", body, told)
		}
	})
}
