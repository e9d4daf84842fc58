package identity

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
)

// maxClaims is the maximum size of the claims that are decoded, in bytes of
// base64. The API server's tokens have about one KiB. Decoding takes ten times
// the size in memory.
const maxClaims = 64 << 10

// accountUID returns the service account's UID from a token's claims, or an empty
// string. The signature is not checked, because the token came from the driver over
// the provider's own socket; the claim only ever separates, it never grants.
// Claims: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens
func accountUID(token []byte) string {
	_, rest, _ := bytes.Cut(token, []byte("."))
	encoded, _, _ := bytes.Cut(rest, []byte("."))
	if len(encoded) > maxClaims {
		return ""
	}
	value, err := base64.RawURLEncoding.AppendDecode(nil, encoded)
	if err != nil {
		return ""
	}
	// A struct would accept names in any case.
	for _, name := range []string{"kubernetes.io", "serviceaccount", "uid"} {
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) != nil {
			return ""
		}
		value = object[name]
	}
	var uid string
	if json.Unmarshal(value, &uid) != nil {
		return ""
	}
	return uid
}
