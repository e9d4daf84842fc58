package identity

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
)

// accountUID is the service account's UID that a token tells, or empty. The
// signature is not checked, because the token came from the driver over the
// provider's own socket; the claim only ever separates, it never grants.
// Claims: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens
//
// Every mount asks for it, and most mounts do little else. So the one claim is
// found where it stands, which costs half of decoding into a struct and needs
// no deep stack.
func accountUID(token []byte) string {
	_, rest, _ := bytes.Cut(token, []byte("."))
	encoded, _, _ := bytes.Cut(rest, []byte("."))
	payload := make([]byte, base64.RawURLEncoding.DecodedLen(len(encoded)))
	n, err := base64.RawURLEncoding.Decode(payload, encoded)
	if err != nil || !json.Valid(payload[:n]) {
		return ""
	}
	account := member(member(payload[:n], "kubernetes.io"), "serviceaccount")
	return unquote(member(account, "uid"))
}

// member is the value of an object's last member of that name, as it stands in
// the text; nil if the text, which is valid JSON, is no object or has none.
func member(text []byte, name string) []byte {
	text = bytes.TrimLeft(text, " \t\r\n")
	if len(text) == 0 || text[0] != '{' {
		return nil
	}
	var value []byte
	at := 1
	for {
		quote := bytes.IndexByte(text[at:], '"')
		if quote < 0 {
			return value // only the end of the object is left
		}
		key := text[at+quote:]
		key = key[:stringEnd(key)]
		at += quote + len(key)
		at += bytes.IndexByte(text[at:], ':') + 1
		end := at + valueEnd(text[at:])
		if isName(key, name) {
			value = text[at:end]
		}
		if text[end] == '}' {
			return value
		}
		at = end + 1
	}
}

// valueEnd is where the comma or bracket stands that ends the member's value
// that text begins with.
func valueEnd(text []byte) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i += stringEnd(text[i:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return len(text)
}

// stringEnd is where the string that text begins with has ended.
func stringEnd(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// isName says whether a JSON string is the name, in whatever spelling.
func isName(text []byte, name string) bool {
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text[1:len(text)-1]) == name
	}
	return unquote(text) == name
}

// unquote decodes a JSON string; of anything else it makes the empty one.
func unquote(text []byte) string {
	var decoded string
	if len(text) == 0 || json.Unmarshal(text, &decoded) != nil {
		return ""
	}
	return decoded
}
