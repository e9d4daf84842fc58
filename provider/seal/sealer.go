package seal

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/lanyardhq/lanyard/provider/secret"
)

// sealerEd25519 is the only kind of signature: Ed25519, RFC 8032. Its byte in the
// header allows others later. A signature matters when a value is opened, not for as
// long as Git's history lasts, so signing again in time is enough against quantum
// computers.
const sealerEd25519 = 1

const (
	sealerIDSize  = 16
	signatureSize = ed25519.SignatureSize
)

// SealerID identifies a sealer's public key: the first 16 bytes of SHA-256 over
// "lanyard.v1 sealer id", a zero byte, the byte of the signature's kind and the
// public key. It is public.
type SealerID [sealerIDSize]byte

// String is the id in 32 hexadecimal digits.
func (id SealerID) String() string { return hex.EncodeToString(id[:]) }

// Sealer is a private signing key. Its signature shows that the sealer, and not just
// anyone with the right to encrypt, sealed a value. It prints no key.
type Sealer struct {
	public  *SealerKey
	private secret.Bytes // the seed
}

// SealerKey is the public key that verifies a sealer's signatures.
type SealerKey struct {
	name string
	id   SealerID
	key  ed25519.PublicKey
}

// NewSealer makes a key of a sealer, with a name for people: 1 to MaxServiceKey
// letters, digits, dots, dashes and underscores.
func NewSealer(name string) (*Sealer, error) {
	if text := WrongServiceKeyName(name); text != "" {
		return nil, errors.New("the sealer's name " + text)
	}
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed)
	return sealerOf(name, seed), nil
}

func sealerOf(name string, seed []byte) *Sealer {
	public, _ := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	return &Sealer{public: sealerKeyOf(name, public), private: secret.New(seed)}
}

func sealerKeyOf(name string, public ed25519.PublicKey) *SealerKey {
	named := append([]byte("lanyard.v1 sealer id\x00"), sealerEd25519)
	sum := sha256.Sum256(append(named, public...))
	return &SealerKey{name: name, id: SealerID(sum[:sealerIDSize]), key: public}
}

// Public is the sealer's public part.
func (s *Sealer) Public() *SealerKey { return s.public }

// Format implements fmt.Formatter and shows no private key.
func (s *Sealer) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "sealer %s", s.public.id) }

// Name is the sealer's name in configuration and errors; sealed values do not hold
// it.
func (k *SealerKey) Name() string { return k.name }

// ID names the key.
func (k *SealerKey) ID() SealerID { return k.id }

// String is the public key as a configuration names it.
func (k *SealerKey) String() string { return encodeText(sealerPublicPrefix, k.key) }

// ParseSealerKey reads what SealerKey.String writes.
func ParseSealerKey(name, text string) (*SealerKey, error) {
	if problem := WrongServiceKeyName(name); problem != "" {
		return nil, errors.New("the sealer's name " + problem)
	}
	if strings.HasPrefix(text, sealerPrivatePrefix) {
		return nil, errors.New("is a private key, which must stay with who seals; give the public part, and make a new key if others may have seen this one")
	}
	raw, err := decodeKey(sealerPublicPrefix, text)
	if err != nil {
		return nil, err
	}
	if len(raw) != ed25519.PublicKeySize {
		return nil, errors.New("is not a public key of Ed25519")
	}
	return sealerKeyOf(name, raw), nil
}
