package seal_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

// specSealerID is the section "Signatures", "Sealer id".
func specSealerID(public []byte) []byte {
	sum := sha256.Sum256(append([]byte("lanyard.v1 sealer id\x00\x01"), public...))
	return sum[:16]
}

// specVerified is the section "Signatures": the value without its signature.
func specVerified(t *testing.T, sealers []vectorSealer, data []byte) []byte {
	t.Helper()
	at := specHeaderSize(data)
	end := len(data) - 64
	for _, sealer := range sealers {
		public := unhex(t, sealer.Public)
		if hex.EncodeToString(specSealerID(public)) != hex.EncodeToString(data[at-16:at]) {
			continue
		}
		if data[at-17] != 1 || !ed25519.Verify(public, append([]byte("lanyard.v1 sealed value signature\x00"), data[:end]...), data[end:]) {
			t.Fatal("the signature does not fit")
		}
		return data[:end]
	}
	t.Fatal("no sealer has the id")
	return nil
}
