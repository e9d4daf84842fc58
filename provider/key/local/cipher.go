package local

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// The layout of a ciphertext: format, key ID, salt, and what AES-256-GCM made,
// which ends with its tag. docs/spec/local-key-v1.md says why.
const (
	format      = 1
	idBytes     = 16
	saltBytes   = 32
	headerBytes = 1 + idBytes + saltBytes
	tagBytes    = 16

	idInfo      = "lanyard local key v1 id"
	messageInfo = "lanyard local key v1 message"
	dataPrefix  = "lanyard local key v1 data"
)

// keyID identifies a key. It is derived from the key, so that a replaced key under
// the same name or line is a different one.
type keyID [idBytes]byte

// String is the ID in hexadecimal, which is the key's version to the rest.
func (id keyID) String() string { return hex.EncodeToString(id[:]) }

func newMasterKey(plain []byte) (masterKey, error) {
	derived, err := hkdf.Key(sha256.New, plain, nil, idInfo, idBytes)
	if err != nil {
		return masterKey{}, errors.New("its ID cannot be derived")
	}
	return masterKey{id: keyID(derived), bytes: secret.New(plain)}, nil
}

// seal encrypts with the salt, which must be random and new.
func (k *masterKey) seal(salt, plaintext []byte, bound key.Context) ([]byte, error) {
	header := append(append([]byte{format}, k.id[:]...), salt...)
	aead, err := k.aead(salt)
	if err != nil {
		return nil, err
	}
	return aead.Seal(header, zeroNonce[:], plaintext, additionalData(header, bound)), nil //nolint:gosec // each key encrypts once
}

// open decrypts a ciphertext whose ID is this key's.
func (k *masterKey) open(data []byte, bound key.Context) ([]byte, error) {
	header, sealed := data[:headerBytes], data[headerBytes:]
	aead, err := k.aead(header[1+idBytes:])
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, zeroNonce[:], sealed, additionalData(header, bound))
}

// zeroNonce is safe because each message has its own key.
var zeroNonce [12]byte

// aead is AES-256-GCM under the message's own key.
func (k *masterKey) aead(salt []byte) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, k.bytes.Reveal(), salt, messageInfo, keyBytes)
	if err != nil {
		return nil, err
	}
	defer clear(derived)
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// additionalData is unambiguous: its first two parts have a fixed length.
func additionalData(header []byte, bound key.Context) []byte {
	return append(append([]byte(dataPrefix), header...), bound.Canonical()...)
}

// idOf is the ID in a ciphertext's header, and false if it cannot be one.
func idOf(data []byte) (keyID, bool) {
	if len(data) <= headerBytes+tagBytes || data[0] != format {
		return keyID{}, false
	}
	return keyID(data[1 : 1+idBytes]), true
}

// newSalt never fails: crypto/rand ends the process instead.
func newSalt() []byte {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt)
	return salt
}
