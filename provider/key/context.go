package key

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/lanyardhq/lanyard/provider/fault"
)

// The bounds of a Context.
const (
	// MaxContextPairs is the greatest number of pairs.
	MaxContextPairs = 16
	// MaxContext bounds the canonical form in bytes. Together with MaxPlaintext
	// it is what Google's Cloud KMS takes for a key in an HSM, 8 KiB.
	// https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys/encrypt
	MaxContext = 4096
)

// contextFormat begins every canonical form, so that it is never mistaken for
// associated data of another format.
const contextFormat = "lanyard context v1"

// Context is what a ciphertext is bound to: whoever decrypts must give the very
// same pairs. It is not secret; key services write it to their audit logs and
// let policies look at it. AWS KMS takes it as the encryption context; the
// others take its canonical form as associated data. A pair without a value is
// left out by the caller; the nil Context is one without pairs.
type Context map[string]string

// Check returns an error that wraps fault.ErrInvalid if the context is out of
// bounds: more than MaxContextPairs, longer than MaxContext, or with a name or
// value that is empty or not plain UTF-8 text.
func (c Context) Check() error {
	if len(c) > MaxContextPairs {
		return fault.Fail(fault.ErrInvalid, fmt.Errorf("the context has %d pairs; the most is %d", len(c), MaxContextPairs))
	}
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if !plainText(name) || !plainText(c[name]) {
			return fault.Fail(fault.ErrInvalid, fmt.Errorf("the context's pair %q must have a name and a value, both of UTF-8 without control characters", name))
		}
	}
	if size := len(c.Canonical()); size > MaxContext {
		return fault.Fail(fault.ErrInvalid, fmt.Errorf("the context is %d bytes long; the most is %d", size, MaxContext))
	}
	return nil
}

// Canonical is the one encoding of the context, different for every two
// contexts: the text "lanyard context v1", then name and value of each pair in
// the order of the names' bytes, each preceded by its length in bytes as a
// 32-bit big-endian number.
//
// There is no count of the pairs, and lengths are below 2^16, so all contexts
// that begin with the same pairs begin with the same bytes up to a boundary of
// base64. That is what lets a policy of Vault match a prefix of it; see
// docs/keys/vault.md.
func (c Context) Canonical() []byte {
	encoded := []byte(contextFormat)
	for _, name := range slices.Sorted(maps.Keys(c)) {
		for _, text := range []string{name, c[name]} {
			encoded = binary.BigEndian.AppendUint32(encoded, uint32(len(text))) //nolint:gosec // Check bounds it; longer text cannot be held in memory
			encoded = append(encoded, text...)
		}
	}
	return encoded
}

// plainText is true for what every key service takes as a string.
func plainText(text string) bool {
	return text != "" && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}
