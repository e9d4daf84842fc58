package seal

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"slices"

	"github.com/lanyardhq/lanyard/provider/identity"
)

const dataKeySize = 32

// wrapped is SuiteKeyService. A body is a keyPart, then the value encrypted with
// AES-256-GCM under the data key. The additional data is everything before the
// ciphertext: header and keyPart.
type wrapped struct{}

// zeroNonce is safe because each data key encrypts once.
var zeroNonce [12]byte

func (wrapped) overhead(head header, body []byte) (int, error) {
	if err := scopeContext(head.scope).Check(); err != nil {
		return 0, malformed("its scope is too long for a key service: %v", err)
	}
	part, size, err := decodeKeyPart(body)
	if err != nil {
		return 0, err
	}
	if part.id() != head.key {
		return 0, malformed("its key id is not that of key %s in version %s", part.name, quote(part.version))
	}
	return size + tagSize, nil
}

func (wrapped) open(ctx context.Context, keys Keys, s *Sealed, as identity.Identity) ([]byte, error) {
	part, size, err := decodeKeyPart(s.body)
	if err != nil {
		return nil, err
	}
	dataKey, err := keys.service(part.name).unwrap(ctx, as, part, s.scope)
	if err != nil {
		return nil, err
	}
	aead, err := newGCM(dataKey.Reveal())
	if err == nil {
		var value []byte
		if value, err = aead.Open(nil, zeroNonce[:], s.body[size:], slices.Concat(s.encoded, s.body[:size])); err == nil {
			return value, nil
		}
	}
	// Both failures give one error, as in the other suite.
	return nil, fmt.Errorf("%w: it does not authenticate under its data key, which key %s unwrapped; take the text from Git again, or seal the value again", ErrAuthentication, part.name)
}

// sealUnder returns the head, followed by the ciphertext with the head as additional
// data. A data key must be used once only.
func sealUnder(dataKey, head, value []byte) ([]byte, error) {
	aead, err := newGCM(dataKey)
	if err != nil {
		return nil, err
	}
	return aead.Seal(slices.Clip(head), zeroNonce[:], value, head), nil //nolint:gosec // each key encrypts once
}

func newGCM(dataKey []byte) (cipher.AEAD, error) {
	// aes.NewCipher accepts shorter keys too.
	if len(dataKey) != dataKeySize {
		return nil, errors.New("a data key of another length")
	}
	block, err := aes.NewCipher(dataKey)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
