package seal

import (
	"crypto/ed25519"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/internal/message"
)

// signedBit in the suite's byte says that the header names a sealer and a signature
// ends the value. Programs without signatures report an unknown suite.
const signedBit = 0x80

// signatureContext separates signatures of sealed values from other uses of the key.
const signatureContext = "lanyard.v1 sealed value signature\x00"

// signer is the sealer in a header. The header is authenticated with the value, so
// nobody can replace the signature by their own.
type signer struct {
	kind byte // zero if there is none
	id   SealerID
}

// Option changes how a value is sealed.
type Option func(*sealing)

// sealing holds the options.
type sealing struct{ by *Sealer }

// SignedBy signs the value with the sealer's key.
func SignedBy(by *Sealer) Option { return func(s *sealing) { s.by = by } }

func sealingOf(options []Option) (made sealing) {
	for _, option := range options {
		option(&made)
	}
	return made
}

// signer returns the header's signer.
func (s sealing) signer() signer {
	if s.by == nil {
		return signer{}
	}
	return signer{kind: sealerEd25519, id: s.by.public.id}
}

// sign appends the signature, if there is a sealer.
func (s sealing) sign(sealed []byte) []byte {
	if s.by == nil {
		return sealed
	}
	private := ed25519.NewKeyFromSeed(s.by.private.Reveal())
	defer clear(private)
	return append(sealed, ed25519.Sign(private, signed(sealed))...)
}

// signed returns the signed message: the context and all bytes before the signature.
func signed(sealed ...[]byte) []byte {
	return slices.Concat(append([][]byte{[]byte(signatureContext)}, sealed...)...)
}

// Sealer returns the ID of the claimed signing key; ok is false if the value is not
// signed. VerifiedBy verifies the claim.
func (s *Sealed) Sealer() (SealerID, bool) { return s.by.id, s.by.kind != 0 }

// VerifiedBy returns nil if the sealer's signature of the value verifies. It needs no
// decryption key. The error wraps ErrUnsigned, ErrUnknownSealer or ErrSignature.
func (s *Sealed) VerifiedBy(key *SealerKey) error {
	switch {
	case s.by.kind == 0:
		return fmt.Errorf("%w; seal it with --sign-with", ErrUnsigned)
	case s.by.id != key.id:
		return fmt.Errorf("%w: the value is signed by sealer %s, which is not %s (%s)", ErrUnknownSealer, s.by.id, key.name, key.id)
	case !ed25519.Verify(key.key, signed(s.encoded, s.body), s.signature):
		return fmt.Errorf("%w: it is not one of sealer %s (%s); take the text from Git again, or have that sealer seal the value again", ErrSignature, key.name, key.id)
	}
	return nil
}

// TrustedSealer is a sealer and the namespaces for which it may seal; * in them
// stands for any text.
type TrustedSealer struct {
	Key        *SealerKey
	Namespaces []string
}

// Signatures is the policy on who must have signed a value: a sealer trusted for the
// pod's namespace. A nil Signatures accepts every value, signed or not.
type Signatures struct {
	// Trusted are the sealers.
	Trusted []TrustedSealer
	// Unsigned are namespaces, with * for any text, whose values need no signature. A
	// signature that is there is verified all the same.
	Unsigned []string
}

// Check returns an error of VerifiedBy unless the policy accepts the value in the
// namespace. If only has names, one of those sealers must have signed it.
func (p *Signatures) Check(s *Sealed, namespace string, only []string) error {
	return p.check(s, only, func(patterns []string) bool { return matches(patterns, namespace) })
}

// CheckAnywhere returns an error of VerifiedBy if no namespace's policy accepts the
// value, for callers that do not know the namespace yet.
func (p *Signatures) CheckAnywhere(s *Sealed, only []string) error {
	return p.check(s, only, func(patterns []string) bool { return len(patterns) > 0 })
}

// check implements Check; covers reports whether patterns include the namespace.
func (p *Signatures) check(s *Sealed, only []string, covers func(patterns []string) bool) error {
	if p == nil && len(only) == 0 {
		return nil
	}
	if p == nil {
		return fmt.Errorf("%w: the object wants one of the sealers %s, and the operator's configuration names none", ErrUnknownSealer, strings.Join(only, ", "))
	}
	var trusted []*SealerKey
	for _, sealer := range p.Trusted {
		if covers(sealer.Namespaces) && (len(only) == 0 || slices.Contains(only, sealer.Key.name)) {
			trusted = append(trusted, sealer.Key)
		}
	}
	id, isSigned := s.Sealer()
	if !isSigned && len(only) == 0 && covers(p.Unsigned) {
		return nil
	}
	if !isSigned {
		return fmt.Errorf("%w, and must be; seal it with --sign-with, as one of the sealers that are trusted here: %s", ErrUnsigned, listSealers(trusted))
	}
	i := slices.IndexFunc(trusted, func(key *SealerKey) bool { return key.id == id })
	switch {
	case i < 0 && len(trusted) == 0 && len(only) > 0:
		return fmt.Errorf("%w: the object wants one of the sealers %s, and the operator's configuration trusts none of them here", ErrUnknownSealer, strings.Join(only, ", "))
	case i < 0:
		return fmt.Errorf("%w: the value is signed by sealer %s; those that are trusted here are: %s", ErrUnknownSealer, id, listSealers(trusted))
	}
	return s.VerifiedBy(trusted[i])
}

// listSealers names sealers for a message.
func listSealers(sealers []*SealerKey) string {
	return message.Names(sealers, func(k *SealerKey) string { return k.name + " (" + k.id.String() + ")" })
}

// WrongNamespacePattern returns the problem with a namespace pattern, or "".
func WrongNamespacePattern(pattern string) string {
	if pattern == "" || len(pattern) > MaxNamespace || strings.Trim(pattern, "abcdefghijklmnopqrstuvwxyz0123456789-*") != "" {
		return "must be a namespace, in which * may stand for any text"
	}
	return ""
}

// matches reports whether a pattern matches the name. Neither holds a slash or
// bracket.
func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		fits, err := path.Match(pattern, name)
		return err == nil && fits
	})
}
