package vault

import (
	"bytes"
	"crypto/sha256"
	"errors"

	"github.com/lanyardhq/lanyard/provider/key"
)

// Vault encrypts a payload that repeats a hash of the context before the plaintext.
// Vault silently ignores a context for a key that is not derived and, before 1.13,
// associated data. The payload is bound in any case.
const (
	payloadFormat = 1
	payloadHeader = 1 + sha256.Size
)

var errPayload = errors.New("holds no payload of this program: something else encrypted it with the same key")

var errContext = errors.New("is bound to another context")

func newPayload(plaintext []byte, bound key.Context) []byte {
	digest := sha256.Sum256(bound.Canonical())
	return append(append([]byte{payloadFormat}, digest[:]...), plaintext...)
}

// openPayload returns the plaintext, which shares the payload's memory.
func openPayload(payload []byte, bound key.Context) ([]byte, error) {
	digest := sha256.Sum256(bound.Canonical())
	switch {
	case len(payload) <= payloadHeader || payload[0] != payloadFormat:
		return nil, errPayload
	case !bytes.Equal(payload[1:payloadHeader], digest[:]):
		return nil, errContext
	}
	return payload[payloadHeader:], nil
}
