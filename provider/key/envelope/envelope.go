// Package envelope encrypts with a data key that a key service has wrapped: for
// key services that tell which version they used only when they wrap a key of
// their own making, or that take neither a longer plaintext nor a context. The
// envelope names the version, and binds it, the key's name, the wrapped key and
// the context to the plaintext.
//
// It never makes, keeps or wraps a data key; that is its callers' to do, and
// each data key is for one envelope. docs/spec/key-envelope-v1.md specifies the
// format. Start with Seal and Parse.
package envelope

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/key"
)

// The layout of an envelope: a byte 1; the version and the wrapped key, each
// preceded by its length in two bytes, big-endian; and what AES-256-GCM made of
// the plaintext, which ends with its tag. The additional data is the text
// below, the key's name preceded by its length in two bytes, everything before
// the ciphertext, and the context's canonical form. The nonce is twelve zero
// bytes, because a data key is used once.
const (
	format         = 1
	dataKeyBytes   = 32
	tagBytes       = 16
	additionalText = "lanyard key envelope v1"

	// MaxWrapped is the maximum size of a wrapped key in bytes.
	MaxWrapped = 2048
)

var errForm = errors.New("the ciphertext is not an envelope of this key service")

var nonce [12]byte

// Envelope is a parsed ciphertext, not authenticated before Open.
type Envelope struct {
	// Version is that of the key that wrapped the data key.
	Version string
	// Wrapped is the data key, as the key service wrapped it.
	Wrapped []byte

	header []byte // format, version and wrapped key
	sealed []byte
}

// Seal encrypts the plaintext with the data key, for the key with the name
// (key.Key.Name). The caller has called key.CheckEncrypt. The error wraps
// fault.ErrUnavailable: the key service's response is unusable.
func Seal(name, version string, dataKey, wrapped, plaintext []byte, bound key.Context) (key.Ciphertext, error) {
	if len(dataKey) != dataKeyBytes || len(wrapped) < 1 || len(wrapped) > MaxWrapped || version == "" || len(version) > key.MaxVersion {
		return key.Ciphertext{}, fault.Fail(fault.ErrUnavailable, fmt.Errorf("the key service answered with a data key of %d bytes, wrapped in %d, and a version of %d, which cannot be", len(dataKey), len(wrapped), len(version)))
	}
	header := []byte{format}
	for _, part := range []string{version, string(wrapped)} {
		header = binary.BigEndian.AppendUint16(header, uint16(len(part))) //nolint:gosec // both are bounded above
		header = append(header, part...)
	}
	aead, err := newAEAD(dataKey)
	if err != nil {
		return key.Ciphertext{}, fault.Fail(fault.ErrUnavailable, err)
	}
	data := aead.Seal(header, nonce[:], plaintext, additional(name, header, bound)) //nolint:gosec // each key encrypts once
	return key.Ciphertext{Data: data, Version: version}, nil
}

// Parse parses a ciphertext after key.CheckDecrypt. The error wraps fault.ErrInvalid.
func Parse(ciphertext key.Ciphertext) (*Envelope, error) {
	rest := ciphertext.Data
	if rest[0] != format {
		return nil, fault.Fail(fault.ErrInvalid, errForm)
	}
	rest = rest[1:]
	var parts [2][]byte
	for i, limit := range [2]int{key.MaxVersion, MaxWrapped} {
		if len(rest) < 2 {
			return nil, fault.Fail(fault.ErrInvalid, errForm)
		}
		size := int(binary.BigEndian.Uint16(rest))
		if size < 1 || size > limit || len(rest) < 2+size {
			return nil, fault.Fail(fault.ErrInvalid, errForm)
		}
		parts[i], rest = rest[2:2+size], rest[2+size:]
	}
	if len(rest) <= tagBytes || len(rest) > key.MaxPlaintext+tagBytes {
		return nil, fault.Fail(fault.ErrInvalid, errForm)
	}
	e := &Envelope{Version: string(parts[0]), Wrapped: parts[1], header: ciphertext.Data[:len(ciphertext.Data)-len(rest)], sealed: rest}
	if ciphertext.Version != "" && ciphertext.Version != e.Version {
		return nil, fault.Fail(fault.ErrInvalid, errors.New("the ciphertext is of another version of the key than the one that it was given with"))
	}
	return e, nil
}

// Open decrypts with the unwrapped data key, for the key with the name. The error
// wraps fault.ErrInvalid if the envelope was altered, or has another key or context, and
// fault.ErrUnavailable if no key service unwraps such a data key.
func (e *Envelope) Open(name string, dataKey []byte, bound key.Context) ([]byte, error) {
	if len(dataKey) != dataKeyBytes {
		return nil, fault.Fail(fault.ErrUnavailable, fmt.Errorf("the key service answered with a data key of %d bytes; it must have %d", len(dataKey), dataKeyBytes))
	}
	aead, err := newAEAD(dataKey)
	if err != nil {
		return nil, fault.Fail(fault.ErrInvalid, err)
	}
	plain, err := aead.Open(nil, nonce[:], e.sealed, additional(name, e.header, bound))
	if err != nil {
		return nil, fault.Fail(fault.ErrInvalid, errors.New("the ciphertext was changed, is another key's, or is bound to another context"))
	}
	return plain, nil
}

func newAEAD(dataKey []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(dataKey)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// additional is unambiguous: the header encodes its own length.
func additional(name string, header []byte, bound key.Context) []byte {
	data := binary.BigEndian.AppendUint16([]byte(additionalText), uint16(len(name))) //nolint:gosec // names come from bounded settings
	return slices.Concat(data, []byte(name), header, bound.Canonical())
}
