package azuretest

import (
	"crypto/aes"
	"errors"
	"fmt"

	josecipher "github.com/go-jose/go-jose/v4/cipher"
)

// AESKey is a symmetric key of a Managed HSM, of 32 bytes: a key of the type
// oct-HSM, which wraps by A256KW.
type AESKey []byte

// aesOperation wraps and unwraps as RFC 3394, section 2.2, has it.
func aesOperation(key AESKey, operation, algorithm string, value []byte) ([]byte, error) {
	if algorithm != "A256KW" || len(value)%8 != 0 || len(value) < 16 {
		return nil, fmt.Errorf("property has invalid value: %s %s", operation, algorithm)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	switch operation {
	case "wrapkey":
		return josecipher.KeyWrap(block, value)
	case "unwrapkey":
		plain, err := josecipher.KeyUnwrap(block, value)
		if err != nil {
			return nil, errors.New("the parameter is incorrect")
		}
		return plain, nil
	}
	return nil, fmt.Errorf("property has invalid value: %s", operation)
}
