package seal

import (
	"crypto/ed25519"
	"fmt"
	"path"
	"slices"
	"strings"
)

// signedBit in the byte of the suite says that the header names a sealer and
// that a signature ends the value. Programs that know no signatures take it for
// a suite that they do not know.
const signedBit = 0x80

// signatureContext separates signatures of sealed values from all else that the
// same key might ever sign.
const signatureContext = "lanyard.v1 sealed value signature\x00"

// signer is the sealer in a header. Being part of the header it is authenticated
// with the value: nobody can take a value and put a signature of their own to it.
type signer struct {
	kind byte // zero if there is none
	id   SealerID
}

// Option says more of how a value is sealed.
type Option func(*sealing)

// sealing is what options change.
type sealing struct{ by *Sealer }

// SignedBy signs the value with the sealer's key.
func SignedBy(by *Sealer) Option { return func(s *sealing) { s.by = by } }

func sealingOf(options []Option) (made sealing) {
	for _, option := range options {
		option(&made)
	}
	return made
}

// signer is what the header says.
func (s sealing) signer() signer {
	if s.by == nil {
		return signer{}
	}
	return signer{kind: sealerEd25519, id: s.by.public.id}
}

// sign ends the sealed value with a signature, if there is a sealer.
func (s sealing) sign(sealed []byte) []byte {
	if s.by == nil {
		return sealed
	}
	private := ed25519.NewKeyFromSeed(s.by.private.Reveal())
	defer clear(private)
	return append(sealed, ed25519.Sign(private, signed(sealed))...)
}

// signed is what is signed: all that stands before the signature.
func signed(sealed ...[]byte) []byte {
	return slices.Concat(append([][]byte{[]byte(signatureContext)}, sealed...)...)
}

// Sealer is the id of the key that the value says it was signed with, and false
// if it is not signed. Only VerifiedBy tells whether it was.
func (s *Sealed) Sealer() (SealerID, bool) { return s.by.id, s.by.kind != 0 }

// VerifiedBy returns nil if the value was signed with the sealer's key and
// nobody changed it since. The error wraps ErrUnsigned, ErrUnknownSealer or
// ErrSignature. It needs no key that opens the value.
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

// TrustedSealer is a sealer and the namespaces that it may seal for, in which *
// stands for any text.
type TrustedSealer struct {
	Key        *SealerKey
	Namespaces []string
}

// Signatures say whose values are opened. A value must be signed by a sealer
// that is trusted for the namespace that asks. A nil Signatures opens whoever's
// value, signed or not.
type Signatures struct {
	// Trusted are the sealers.
	Trusted []TrustedSealer
	// Unsigned are the namespaces whose values may be without a signature, in
	// which * stands for any text. One that is there is checked all the same.
	Unsigned []string
}

// Check returns an error of VerifiedBy unless the value may be opened for the
// namespace. only, unless empty, are the names of sealers of which it must be one.
func (p *Signatures) Check(s *Sealed, namespace string, only []string) error {
	return p.check(s, only, func(patterns []string) bool { return matches(patterns, namespace) })
}

// CheckAnywhere returns an error of VerifiedBy if Check does so for every
// namespace. It is for those who do not know yet for which the value is opened.
func (p *Signatures) CheckAnywhere(s *Sealed, only []string) error {
	return p.check(s, only, func(patterns []string) bool { return len(patterns) > 0 })
}

// check is Check where holds says of patterns whether the namespace is among
// them.
func (p *Signatures) check(s *Sealed, only []string, holds func(patterns []string) bool) error {
	if p == nil && len(only) == 0 {
		return nil
	}
	if p == nil {
		return fmt.Errorf("%w: the object wants one of the sealers %s, and the operator's configuration names none", ErrUnknownSealer, strings.Join(only, ", "))
	}
	var trusted []*SealerKey
	for _, sealer := range p.Trusted {
		if holds(sealer.Namespaces) && (len(only) == 0 || slices.Contains(only, sealer.Key.name)) {
			trusted = append(trusted, sealer.Key)
		}
	}
	id, isSigned := s.Sealer()
	if !isSigned && len(only) == 0 && holds(p.Unsigned) {
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
	const most = 8
	var names []string
	for i, sealer := range sealers {
		if i == most {
			names = append(names, "others")
			break
		}
		names = append(names, sealer.name+" ("+sealer.id.String()+")")
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// WrongNamespacePattern says what is wrong with a pattern of namespaces, or
// nothing.
func WrongNamespacePattern(pattern string) string {
	if pattern == "" || len(pattern) > MaxNamespace || strings.Trim(pattern, "abcdefghijklmnopqrstuvwxyz0123456789-*") != "" {
		return "must be a namespace, in which * may stand for any text"
	}
	return ""
}

// matches is true if one of the patterns is the name. Neither holds a slash or a
// bracket.
func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		fits, err := path.Match(pattern, name)
		return err == nil && fits
	})
}
