package key

import (
	"fmt"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// CheckEncrypt returns an error that wraps fault.ErrInvalid if an Encrypt with
// these arguments is out of bounds. Every Key calls it before anything else.
func CheckEncrypt(plaintext secret.Bytes, bound Context) error {
	if size := plaintext.Len(); size < 1 || size > MaxPlaintext {
		return fault.Fail(fault.ErrInvalid, fmt.Errorf("the plaintext is %d bytes long; a key service takes 1 to %d", size, MaxPlaintext))
	}
	return bound.Check()
}

// CheckDecrypt returns an error that wraps fault.ErrInvalid if a Decrypt with
// these arguments is out of bounds. Every Key calls it before anything else.
func CheckDecrypt(ciphertext Ciphertext, bound Context) error {
	if size := len(ciphertext.Data); size < 1 || size > MaxCiphertext {
		return fault.Fail(fault.ErrInvalid, fmt.Errorf("the ciphertext is %d bytes long; one of a key service has 1 to %d", size, MaxCiphertext))
	}
	if size := len(ciphertext.Version); size > MaxVersion {
		return fault.Fail(fault.ErrInvalid, fmt.Errorf("the ciphertext's key version is %d bytes long; the most is %d", size, MaxVersion))
	}
	return bound.Check()
}

// Plaintext returns what a key service answered, for Decrypt. The error wraps
// fault.ErrUnavailable if it cannot be a plaintext: it is empty, or longer than any
// that was ever encrypted.
func Plaintext(plaintext []byte) (secret.Bytes, error) {
	if size := len(plaintext); size < 1 || size > MaxPlaintext {
		return secret.Bytes{}, fault.Fail(fault.ErrUnavailable, fmt.Errorf("the key service answered with a plaintext of %d bytes, which cannot be; look at what stands between this program and it", size))
	}
	return secret.New(plaintext), nil
}
