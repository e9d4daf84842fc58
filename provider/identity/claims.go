package identity

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"time"

	"github.com/lanyardhq/lanyard/internal/jsonscan"
)

// maxClaims is the maximum size of the claims that are decoded, in bytes of
// base64. The API server's tokens have about one KiB. Decoding takes ten times
// the size in memory.
const maxClaims = 64 << 10

// Claims are what a service account token says of its pod. Nothing is checked: a store
// verifies the token, and until then they only name and separate.
// https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens
type Claims struct {
	Namespace, ServiceAccount, Pod, PodUID string
	// Expires is the token's end; zero if it tells none.
	Expires time.Time
}

// ClaimsOf returns the claims of a token, empty where it is no service account's.
func ClaimsOf(token []byte) (c Claims) {
	c.Namespace, c.ServiceAccount = text(token, "kubernetes.io", "namespace"), text(token, "kubernetes.io", "serviceaccount", "name")
	c.Pod, c.PodUID = text(token, "kubernetes.io", "pod", "name"), text(token, "kubernetes.io", "pod", "uid")
	var seconds float64
	if json.Unmarshal([]byte(claim(token, "exp")), &seconds) == nil && seconds > 0 && seconds < 1<<40 {
		c.Expires = time.Unix(int64(seconds), 0)
	}
	return c
}

// HasAudience says whether a token says of itself that it is for an audience.
// https://www.rfc-editor.org/rfc/rfc7519#section-4.1.3
func HasAudience(token []byte, audience string) bool {
	text := []byte(claim(token, "aud"))
	var one string
	if json.Unmarshal(text, &one) == nil {
		return one == audience
	}
	var several []string
	return json.Unmarshal(text, &several) == nil && slices.Contains(several, audience)
}

// accountUID returns the service account's UID from a token's claims, or an empty
// string. The signature is not checked, because the token came from the driver over
// the provider's own socket; the claim only ever separates, it never grants.
func accountUID(token []byte) string {
	return text(token, "kubernetes.io", "serviceaccount", "uid")
}

// text is the claim at a path; empty if there is none that is text.
func text(token []byte, path ...string) string {
	value, err := jsonscan.New(claim(token, path...)).String()
	if err != nil {
		return ""
	}
	return value
}

// claim is the JSON of the claim at a path; empty if there is none.
func claim(token []byte, path ...string) string {
	_, rest, _ := bytes.Cut(token, []byte("."))
	encoded, _, _ := bytes.Cut(rest, []byte("."))
	if len(encoded) > maxClaims {
		return ""
	}
	value, err := base64.RawURLEncoding.AppendDecode(nil, encoded)
	if err != nil {
		return ""
	}
	found, err := jsonscan.Find(string(value), path...)
	if err != nil {
		return ""
	}
	return found
}
