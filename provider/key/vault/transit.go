package vault

import (
	"encoding/base64"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/vault"
)

// description is Vault's description of a key.
// https://developer.hashicorp.com/vault/api-docs/secret/transit#read-key
type description struct {
	Type          string `json:"type"`
	Derived       *bool  `json:"derived"`
	LatestVersion int    `json:"latest_version"`
	// Convergent is told of derived keys alone, because no others can be.
	Convergent *bool `json:"convergent_encryption"`
	// Imported needs Vault 1.11.
	Imported *bool `json:"imported_key"`
}

// authenticated are the key types whose ciphertexts need the key to create. Anyone
// with the public key can create those of RSA keys.
var authenticated = []string{"aes128-gcm96", "aes256-gcm96", "chacha20-poly1305"}

// whole is true if the description tells all that unfit asks.
func (d description) whole() bool {
	return d.Type != "" && d.LatestVersion > 0 && d.Derived != nil && (!*d.Derived || d.Convergent != nil)
}

// unfit returns why the key must not be used with the binding, or "".
func (d description) unfit(binding string) string {
	switch {
	case !slices.Contains(authenticated, d.Type):
		return "is of the type " + message.Excerpt(d.Type) + "; it must be one of " + strings.Join(authenticated, ", ")
	case d.Convergent != nil && *d.Convergent:
		return "encrypts convergently: the same plaintext gives the same ciphertext, which shows what is equal; make a key without convergent_encryption"
	case binding == bindDerived && !*d.Derived:
		return "is not derived, so Vault would ignore the context; make a key with derived=true, or set binding to associatedData"
	case binding != bindDerived && *d.Derived:
		return "is derived; set binding to derived"
	case binding == bindAssociatedData && d.Imported == nil:
		return "is in a Vault that is too old for binding associatedData, which needs 1.13; set binding to derived or payload"
	}
	return ""
}

// encrypted is the response to an encryption.
// https://developer.hashicorp.com/vault/api-docs/secret/transit#encrypt-data
type encrypted struct {
	Ciphertext string `json:"ciphertext"`
	KeyVersion int    `json:"key_version"`
}

// decrypted is the response to a decryption.
// https://developer.hashicorp.com/vault/api-docs/secret/transit#decrypt-data
type decrypted struct {
	Plaintext string `json:"plaintext"`
}

// ciphertextForm is the form of a Transit ciphertext. Vault is laxer: it accepts v0
// for v1, and ignores trailing bits of the base64.
var ciphertextForm = regexp.MustCompile(`^vault:(v[1-9][0-9]{0,8}):([A-Za-z0-9+/]+={0,2})$`)

// versionOf returns the version in a ciphertext; false if Vault would spell it
// differently.
func versionOf(ciphertext []byte) (string, bool) {
	parts := ciphertextForm.FindSubmatch(ciphertext)
	if parts == nil {
		return "", false
	}
	if _, err := base64.StdEncoding.Strict().Decode(make([]byte, base64.StdEncoding.DecodedLen(len(parts[2]))), parts[2]); err != nil {
		return "", false
	}
	return string(parts[1]), true
}

// data decodes a successful response. The caller checks that it is complete.
func data(resp *vault.Response, into any) bool {
	return resp.Answer != nil && resp.Answer.Data != nil && json.Unmarshal(resp.Answer.Data, into) == nil
}

// ignored reports whether Vault says that it ignored a parameter, as it does from
// 1.11 on.
func ignored(resp *vault.Response, parameter string) bool {
	return resp.Answer != nil && slices.ContainsFunc(resp.Answer.Warnings, func(warning string) bool {
		return strings.Contains(warning, "ignored") && strings.Contains(warning, parameter)
	})
}
