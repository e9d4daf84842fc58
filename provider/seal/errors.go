package seal

import (
	"errors"
	"fmt"
)

// Why a sealed value cannot be had. Every error of Parse, Open and Match wraps
// at least one of these; none comes with a value. The text of an error says
// what was wrong and what to do; it quotes scopes and key ids, which are
// public, and never the ciphertext.
var (
	// ErrMalformed means that the text is not a sealed value at all: a wrong
	// prefix, cut off, broken over lines, padded, encoded in another way,
	// fields out of bounds, or bytes left over.
	ErrMalformed = errors.New("malformed sealed value")
	// ErrUnknownVersion means that the format's version is not one that this
	// program knows.
	ErrUnknownVersion = errors.New("unknown version of sealed value")
	// ErrUnknownSuite means that the value is encrypted in a way that this
	// program does not know.
	ErrUnknownSuite = errors.New("unknown suite of sealed value")

	// ErrOtherCluster means that the value is sealed for another cluster.
	ErrOtherCluster = errors.New("sealed for another cluster")
	// ErrOtherNamespace means that the value is sealed for another namespace.
	ErrOtherNamespace = errors.New("sealed for another namespace")
	// ErrOtherServiceAccount means that the value is sealed for another
	// service account.
	ErrOtherServiceAccount = errors.New("sealed for another service account")
	// ErrOtherObject means that the value is sealed for an object of another
	// name.
	ErrOtherObject = errors.New("sealed for another object")
	// ErrExpired means that the value's not-after time has passed.
	ErrExpired = errors.New("sealed value has expired")

	// ErrUnknownKey means that the key ring never had the value's key.
	ErrUnknownKey = errors.New("unknown key")
	// ErrRetiredKey means that the key ring had the value's key and it was
	// retired on purpose.
	ErrRetiredKey = errors.New("retired key")
	// ErrKeyService means that the key service did not wrap or unwrap the data
	// key. The error wraps the kind of package fault too, and its text is the
	// key service's.
	ErrKeyService = errors.New("the key service refused")
	// ErrUnsigned means that the value has no signature where one is required.
	ErrUnsigned = errors.New("sealed value is not signed")
	// ErrUnknownSealer means that the value is signed by a key that is not
	// trusted to seal for who asks.
	ErrUnknownSealer = errors.New("unknown sealer")
	// ErrSignature means that the signature is not the sealer's, or of another
	// value.
	ErrSignature = errors.New("wrong signature of sealed value")

	// ErrAuthentication means that the key is right and the value is not what
	// was sealed: a bit of its header, wrapped or encapsulated key or ciphertext changed.
	ErrAuthentication = errors.New("sealed value was altered")
)

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// quote makes a public name safe and short enough for a message.
func quote(name string) string {
	const most = 128
	if len(name) <= most {
		return fmt.Sprintf("%q", name)
	}
	return fmt.Sprintf("%q…", name[:most])
}
