package azuretest

import (
	"crypto/aes"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
)

// AESKey is a symmetric key of a Managed HSM, of 32 bytes: a key of the type
// oct-HSM, which wraps by A256KW.
type AESKey []byte

// initial is what a wrapped key begins with before it is wrapped.
const initial = 0xA6A6A6A6A6A6A6A6

// aesOperation wraps and unwraps as RFC 3394, section 2.2, has it.
func aesOperation(key AESKey, operation, algorithm string, value []byte) ([]byte, error) {
	if algorithm != "A256KW" || len(value)%8 != 0 || len(value) < 16 {
		return nil, fmt.Errorf("property has invalid value: %s %s", operation, algorithm)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	buffer := make([]byte, aes.BlockSize)
	switch operation {
	case "wrapkey":
		n := len(value) / 8
		out := append(make([]byte, 8), value...)
		a := uint64(initial)
		for j := range 6 {
			for i := 1; i <= n; i++ {
				binary.BigEndian.PutUint64(buffer, a)
				copy(buffer[8:], out[8*i:8*i+8])
				block.Encrypt(buffer, buffer)
				a = binary.BigEndian.Uint64(buffer) ^ uint64(n*j+i)
				copy(out[8*i:], buffer[8:])
			}
		}
		binary.BigEndian.PutUint64(out, a)
		return out, nil
	case "unwrapkey":
		n := len(value)/8 - 1
		out := append([]byte(nil), value...)
		a := binary.BigEndian.Uint64(out)
		for j := 5; j >= 0; j-- {
			for i := n; i >= 1; i-- {
				binary.BigEndian.PutUint64(buffer, a^uint64(n*j+i)) //nolint:gosec // small
				copy(buffer[8:], out[8*i:8*i+8])
				block.Decrypt(buffer, buffer)
				a = binary.BigEndian.Uint64(buffer)
				copy(out[8*i:], buffer[8:])
			}
		}
		binary.BigEndian.PutUint64(buffer, a)
		want := binary.BigEndian.AppendUint64(nil, initial)
		if subtle.ConstantTimeCompare(buffer[:8], want) != 1 {
			return nil, errors.New("the parameter is incorrect")
		}
		return out[8:], nil
	}
	return nil, fmt.Errorf("property has invalid value: %s", operation)
}
