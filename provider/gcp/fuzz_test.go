package gcp

import (
	"strings"
	"testing"
	"unicode/utf8"

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
		if problem == "" && (key.Type != "service_account" || !accountPattern.MatchString(key.Email)) {
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
		told := Said((&recorder{body: body}).reason(), secret.NewString("the-token"))
		if len(told) > 10*maxQuoted || strings.ContainsAny(told, "\n\r\x1b") || strings.Contains(told, "the-token") || !utf8.ValidString(told) {
			t.Errorf("%q is told as %q", body, told)
		}
	})
}

func TestTheAudienceOfAPodsTokenFollowsFromThatOfTheExchange(t *testing.T) {
	for audience, want := range map[string]string{
		"identitynamespace:shop.svc.id.goog:https://container.googleapis.com/v1/projects/shop/locations/l/clusters/c": "shop.svc.id.goog",
		"identitynamespace:hub.svc.id.goog:https://gkehub.googleapis.com/projects/hub/locations/global/memberships/m": "hub.svc.id.goog",
		"//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x":                        "https://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x",
		"identitynamespace:shop.svc.id.goog": "", "identitynamespace::x": "", "shop.svc.id.goog": "", "": "",
		"//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p": "",
	} {
		if got := tokenAudience(audience); got != want {
			t.Errorf("tokenAudience(%q) = %q, want %q", audience, got, want)
		}
	}
}

func TestEndpointsAreDialledWhereTheyAre(t *testing.T) {
	for endpoint, want := range map[string]string{
		"https://secretmanager.googleapis.com": "secretmanager.googleapis.com:443",
		"https://sm.example.com:8443":          "sm.example.com:8443",
		"http://127.0.0.1":                     "127.0.0.1:80",
		"https://[fd00::1]":                    "[fd00::1]:443",
		"https://[fd00::1]:8443":               "[fd00::1]:8443",
	} {
		if got, plain := target(endpoint); got != want || plain != strings.HasPrefix(endpoint, "http:") {
			t.Errorf("target(%q) = %q, %v; want %q", endpoint, got, plain, want)
		}
	}
}
