package seal

import (
	"errors"
	"fmt"
)

// The errors of Parse, Open and Match. Each returned error wraps at least one of
// these and comes without a value. Its text says what is wrong and what to do; it
// quotes scopes and key IDs, which are public, and never the ciphertext.
var (
	// ErrMalformed means that the text is not a sealed value: wrong prefix, truncated,
	// line breaks, padding, another encoding, fields out of bounds, or trailing bytes.
	ErrMalformed = errors.New("malformed sealed value")
	// ErrUnknownVersion means that this program does not know the format version.
	ErrUnknownVersion = errors.New("unknown version of sealed value")
	// ErrUnknownSuite means that this program does not know the encryption suite.
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
	// ErrRetiredKey means that the value's key was retired from the key ring.
	ErrRetiredKey = errors.New("retired key")
	// ErrKeyService means that the key service did not wrap or unwrap the data key.
	// The error also wraps the kind of package fault and has the key service's text.
	ErrKeyService = errors.New("the key service refused")
	// ErrUnsigned means that the value has no signature where one is required.
	ErrUnsigned = errors.New("sealed value is not signed")
	// ErrUnknownSealer means that the signing key is not trusted for the namespace.
	ErrUnknownSealer = errors.New("unknown sealer")
	// ErrSignature means that the signature does not verify.
	ErrSignature = errors.New("wrong signature of sealed value")

	// ErrAuthentication means that the value was altered: a bit of its header, wrapped
	// or encapsulated key or ciphertext changed.
	ErrAuthentication = errors.New("sealed value was altered")
)

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// quote escapes a public name and shortens it for a message.
func quote(name string) string {
	const limit = 128
	if len(name) <= limit {
		return fmt.Sprintf("%q", name)
	}
	return fmt.Sprintf("%q…", name[:limit])
}
