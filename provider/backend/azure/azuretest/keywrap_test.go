package azuretest

import (
	"encoding/hex"
	"testing"
)

// RFC 3394, section 4.6: 256 bits of key data with a 256-bit KEK.
func TestKeyWrapIsThatOfTheRFC(t *testing.T) {
	unhex := func(text string) []byte {
		raw, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	key := AESKey(unhex("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F"))
	const plain, want = "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f", "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"
	wrapped, err := aesOperation(key, "wrapkey", "A256KW", unhex(plain))
	if err != nil || hex.EncodeToString(wrapped) != want {
		t.Errorf("wraps to %x, %v", wrapped, err)
	}
	again, err := aesOperation(key, "unwrapkey", "A256KW", unhex(want))
	if err != nil || hex.EncodeToString(again) != plain {
		t.Errorf("unwraps to %x, %v", again, err)
	}
	wrapped[0] ^= 1
	if _, err := aesOperation(key, "unwrapkey", "A256KW", wrapped); err == nil {
		t.Error("a changed one is unwrapped")
	}
}
