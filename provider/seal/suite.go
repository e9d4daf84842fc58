package seal

import (
	"context"
	"crypto/hpke"
	"fmt"
	"slices"

	"github.com/lanyardhq/lanyard/provider/identity"
)

// MaxValue is the maximum size of a sealed value in bytes.
const MaxValue = 1 << 20

// Suite is a way to encrypt a value. It is the second byte of every value.
type Suite uint8

// The suites of the format.
const (
	// SuiteHPKE encrypts to a public key with HPKE (RFC 9180, base mode):
	// ML-KEM-768 with X25519, HKDF-SHA256 and AES-256-GCM. Sealing needs no
	// network and no right to decrypt.
	SuiteHPKE Suite = 1
	// SuiteKeyService encrypts with AES-256-GCM under a data key of the value's
	// own, which a key service wraps and unwraps. It enforces and logs the
	// scope itself, and opening needs a right there.
	SuiteKeyService Suite = 2
)

// String names the suite for people.
func (s Suite) String() string {
	switch s {
	case SuiteHPKE:
		return "1 (HPKE: ML-KEM-768 + X25519, HKDF-SHA256, AES-256-GCM)"
	case SuiteKeyService:
		return "2 (data key wrapped by a key service, AES-256-GCM)"
	}
	return fmt.Sprintf("%d (unknown)", uint8(s))
}

// scheme is the part of the format that differs between suites. A body follows the
// header. Every suite passes the encoded header as additional data to its AEAD, which
// binds the scope.
type scheme interface {
	// overhead returns the size of the body minus the size of its value. The error
	// wraps ErrMalformed. A body may be shorter than its overhead.
	overhead(head header, body []byte) (int, error)
	// open returns the value of a body that overhead and keys.Check accepted. The
	// error wraps ErrUnknownKey, ErrRetiredKey, ErrKeyService or ErrAuthentication, or
	// is ctx's.
	open(ctx context.Context, keys Keys, s *Sealed, as identity.Identity) ([]byte, error)
}

// scheme returns the suite's implementation, or an error that wraps ErrUnknownSuite.
// Add new suites only here.
func (s Suite) scheme() (scheme, error) {
	switch s {
	case SuiteHPKE:
		return hybrid{}, nil
	case SuiteKeyService:
		return wrapped{}, nil
	}
	return nil, fmt.Errorf("%w: %d; use a newer lanyard, or seal the value again with this one", ErrUnknownSuite, uint8(s))
}

const (
	encapsulatedSize = 1088 + 32 // ML-KEM-768 ciphertext, X25519 point
	tagSize          = 16
	maxBody          = max(encapsulatedSize, maxKeyPart) + MaxValue + tagSize
)

// hpkeInfo separates sealed values from other messages to the same key. The header is
// additional data instead: an HPKE context encrypts one message, so both bind it
// alike, and every suite has additional data.
const hpkeInfo = "lanyard.v1 sealed value"

// hybrid is SuiteHPKE.
type hybrid struct{}

// The parts of the HPKE suite: KEM 0x647a, KDF 0x0001, AEAD 0x0002.
func hpkeParts() (hpke.KEM, hpke.KDF, hpke.AEAD) {
	return hpke.MLKEM768X25519(), hpke.HKDFSHA256(), hpke.AES256GCM()
}

func (hybrid) overhead(header, []byte) (int, error) { return encapsulatedSize + tagSize, nil }

// seal returns the header and the body: the encapsulated key and the ciphertext.
func (hybrid) seal(to *PublicKey, header, value []byte) ([]byte, error) {
	_, kdf, aead := hpkeParts()
	encapsulated, sender, err := hpke.NewSender(to.key, kdf, aead, []byte(hpkeInfo))
	if err != nil {
		return nil, err
	}
	ciphertext, err := sender.Seal(header, value)
	if err != nil {
		return nil, err
	}
	return slices.Concat(header, encapsulated, ciphertext), nil
}

func (hybrid) open(ctx context.Context, keys Keys, s *Sealed, _ identity.Identity) ([]byte, error) {
	key, err := keys.Ring.private(ctx, s.key)
	if err != nil {
		return nil, err
	}
	_, kdf, aead := hpkeParts()
	recipient, err := hpke.NewRecipient(s.body[:encapsulatedSize], key, kdf, aead, []byte(hpkeInfo))
	if err == nil {
		var value []byte
		if value, err = recipient.Open(s.encoded, s.body[encapsulatedSize:]); err == nil {
			return value, nil
		}
	}
	// All failures give one error: only an attacker would learn from the difference.
	return nil, fmt.Errorf("%w: it does not authenticate under key %s; take the text from Git again, or seal the value again", ErrAuthentication, s.key)
}
