// Package seal is the sealed-value format: a ciphertext that may be committed
// to Git, bound to the workload that may open it. docs/spec/sealed-value-v1.md
// specifies it byte by byte, and testdata/vectors.json lets any implementation
// test itself.
//
// A [Scope] says who may open a value. Developers seal to a [PublicKey], which
// may lie in Git, and the provider opens with the private keys of a [KeyRing].
// A [ServiceKey] is a key of a key service, which may stand in the place of
// both. A [Sealed] is a value that was parsed and not opened. Start with [Seal],
// [SealWith] and [Sealed.Open].
//
// A text of version 1 stays readable as long as its key is in the ring or at the
// key service: later versions and suites are added beside it. The package makes
// no network call but a [ServiceKey]'s, never writes a file, and never returns a
// value together with an error. Whoever has the public key, or may encrypt at the
// key service, can seal: who sealed a value is said by a signature alone, which
// [SignedBy] makes and [Signatures] demand.
//
// # API promise
//
// This package and integration/conformance are the two packages of the project
// that other programs may import. From the first release on, a change that breaks
// their callers needs a new major version. The types of other packages that occur
// in their signatures keep the fields and methods that the examples use. Every
// other package may change at any time.
package seal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// Seal encrypts value to the public key for the scope and returns the text. Two
// calls never return the same text. It fails if the scope is not valid or the
// value is empty or longer than MaxValue. An empty value is refused because it
// is nearly always a command that failed further up the pipe.
func Seal(to *PublicKey, scope Scope, value secret.Bytes, options ...Option) (string, error) {
	if err := checkSealing(scope, value); err != nil {
		return "", err
	}
	how := sealingOf(options)
	head := header{suite: SuiteHPKE, key: to.id, scope: scope, by: how.signer()}.encode()
	sealed, err := hybrid{}.seal(to, head, value.Reveal())
	if err != nil {
		// Only the cryptographic module can fail here. Its text is unknown and so not
		// passed on.
		return "", fmt.Errorf("the value could not be encrypted to key %s", to.id)
	}
	return encodeText(textPrefix, how.sign(sealed)), nil
}

// checkSealing refuses scopes and values that no suite can seal.
func checkSealing(scope Scope, value secret.Bytes) error {
	if err := scope.Validate(); err != nil {
		return err
	}
	if value.Len() == 0 {
		return errors.New("the value is empty; a sealed value has at least one byte")
	}
	if value.Len() > MaxValue {
		return fmt.Errorf("the value has %d bytes, at most %d can be sealed", value.Len(), MaxValue)
	}
	return nil
}

// Sealed is a parsed sealed value. Its fields are public and, before Open, not
// authenticated. It prints no ciphertext.
type Sealed struct {
	header
	scheme  scheme
	encoded []byte // the header as it stood in the text
	body    []byte
	size    int // of the value
	// signature is what ends the value; empty if it is not signed.
	signature []byte
}

// Parse parses the text of a sealed value without any key. Each value has exactly one
// accepted spelling. The error wraps ErrMalformed, ErrUnknownVersion or
// ErrUnknownSuite.
func Parse(text string) (*Sealed, error) {
	data, err := decodeText(text)
	if err != nil {
		return nil, err
	}
	head, body, err := decodeHeader(data)
	if err != nil {
		return nil, err
	}
	code, err := head.suite.scheme()
	if err != nil {
		return nil, err
	}
	var signature []byte
	encoded := data[:len(data)-len(body)]
	if head.by.kind != 0 {
		if len(body) < signatureSize {
			return nil, malformed("it is cut off in the signature; copy the whole text")
		}
		body, signature = body[:len(body)-signatureSize], body[len(body)-signatureSize:]
	}
	longer, err := code.overhead(head, body)
	if err != nil {
		return nil, err
	}
	size := len(body) - longer
	if size < 1 {
		return nil, malformed("its ciphertext is cut off; copy the whole text")
	} else if size > MaxValue {
		return nil, malformed("it holds a value of %d bytes, at most %d are possible", size, MaxValue)
	}
	return &Sealed{header: head, scheme: code, encoded: encoded, body: body, size: size, signature: signature}, nil
}

// Suite is how the value is encrypted.
func (s *Sealed) Suite() Suite { return s.suite }

// KeyID names the key that opens the value.
func (s *Sealed) KeyID() KeyID { return s.key }

// Scope is who may open the value.
func (s *Sealed) Scope() Scope { return s.scope }

// Size is the number of bytes of the value, which a ciphertext does not hide.
func (s *Sealed) Size() int { return s.size }

// ServiceKey returns name and version of the service key; ok is false for other
// suites.
func (s *Sealed) ServiceKey() (name, version string, ok bool) {
	if s.suite != SuiteKeyService {
		return "", "", false
	}
	part, _, err := decodeKeyPart(s.body)
	return part.name, part.version, err == nil
}

// Format implements fmt.Formatter: it shows the suite and the key, and nothing
// of the ciphertext.
func (s *Sealed) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "sealed value (suite %d, key %s)", uint8(s.suite), s.key)
}

// Open returns the value if the workload may open it as the named object now. It
// checks the scope before the key, so that no plaintext exists for a workload outside
// the scope. It calls a key service as the workload, or as the node if
// ServiceKey.AsNode, until ctx ends. The error wraps an error of Scope.Match or
// Signatures.Check, ErrUnknownKey, ErrRetiredKey, ErrKeyService with a kind of
// package fault, or ErrAuthentication, or is ctx's.
func (s *Sealed) Open(ctx context.Context, keys Keys, as identity.Identity, object string, now time.Time) (secret.Bytes, error) {
	if err := s.scope.Match(as, object, now); err != nil {
		return secret.Bytes{}, err
	}
	if err := keys.Signatures.Check(s, as.Namespace, keys.Only); err != nil {
		return secret.Bytes{}, err
	}
	if err := keys.Check(s); err != nil {
		return secret.Bytes{}, err
	}
	value, err := s.scheme.open(ctx, keys, s, as)
	if err != nil {
		return secret.Bytes{}, err
	}
	return secret.New(value), nil
}
