package identity

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"time"
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
	text := func(path ...string) (value string) {
		_ = json.Unmarshal(claim(token, path...), &value) //nolint:errcheck // what can be read counts
		return value
	}
	c.Namespace, c.ServiceAccount = text("kubernetes.io", "namespace"), text("kubernetes.io", "serviceaccount", "name")
	c.Pod, c.PodUID = text("kubernetes.io", "pod", "name"), text("kubernetes.io", "pod", "uid")
	var seconds float64
	if json.Unmarshal(claim(token, "exp"), &seconds) == nil && seconds > 0 && seconds < 1<<40 {
		c.Expires = time.Unix(int64(seconds), 0)
	}
	return c
}

// HasAudience says whether a token says of itself that it is for an audience.
// https://www.rfc-editor.org/rfc/rfc7519#section-4.1.3
func HasAudience(token []byte, audience string) bool {
	text := claim(token, "aud")
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
	var uid string
	if json.Unmarshal(claim(token, "kubernetes.io", "serviceaccount", "uid"), &uid) != nil {
		return ""
	}
	return uid
}

// claim is the JSON of the claim at a path; empty if there is none.
func claim(token []byte, path ...string) json.RawMessage {
	_, rest, _ := bytes.Cut(token, []byte("."))
	encoded, _, _ := bytes.Cut(rest, []byte("."))
	if len(encoded) > maxClaims {
		return nil
	}
	value, err := base64.RawURLEncoding.AppendDecode(nil, encoded)
	if err != nil {
		return nil
	}
	// A struct would accept names in any case.
	for _, name := range path {
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) != nil {
			return nil
		}
		value = object[name]
	}
	return value
}
