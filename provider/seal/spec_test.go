package seal_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/mlkem"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
)

// This file opens sealed values with nothing but docs/spec/sealed-value-v1.md
// and the primitives that it names, and shares no code with the package. It
// shows that the specification is enough.

// specKeyID is the section "Key id".
func specKeyID(public []byte) []byte {
	sum := sha256.Sum256(append([]byte("lanyard.v1 key id\x00\x01"), public...))
	return sum[:16]
}

// specHeaderSize walks over the section "Header".
func specHeaderSize(data []byte) int {
	at := 2 + 16
	for range 4 {
		if data[at] == 1 {
			at += 2 + int(data[at+1])<<8 + int(data[at+2])
		}
		at++
	}
	at += 1 + 8*int(data[at])
	if data[1] >= 0x80 {
		at += 17
	}
	return at
}

// specOpen is the section "Suite 1".
func specOpen(t *testing.T, seed, header, body []byte) []byte {
	t.Helper()
	must := func(data []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	expanded := sha3.SumSHAKE256(seed, 96)
	mlkemKey, err := mlkem.NewDecapsulationKey768(expanded[:64])
	if err != nil {
		t.Fatal(err)
	}
	x25519Key, err := ecdh.X25519().NewPrivateKey(expanded[64:])
	if err != nil {
		t.Fatal(err)
	}
	point, err := ecdh.X25519().NewPublicKey(body[1088:1120])
	if err != nil {
		t.Fatal(err)
	}
	combined := append([]byte{}, must(mlkemKey.Decapsulate(body[:1088]))...)
	combined = append(combined, must(x25519Key.ECDH(point))...)
	combined = append(combined, body[1088:1120]...)
	combined = append(combined, x25519Key.PublicKey().Bytes()...)
	combined = append(combined, 0x5c, 0x2e, 0x2f, 0x2f, 0x5e, 0x5c)
	shared := sha3.Sum256(combined)

	suite := "HPKE" + "\x64\x7a" + "\x00\x01" + "\x00\x02"
	extract := func(salt []byte, label string, input []byte) []byte {
		return must(hkdf.Extract(sha256.New, append([]byte("HPKE-v1"+suite+label), input...), salt))
	}
	context := append([]byte{0}, extract(nil, "psk_id_hash", nil)...)
	context = append(context, extract(nil, "info_hash", []byte("lanyard.v1 sealed value"))...)
	secretKey := extract(shared[:], "secret", nil)
	expand := func(label string, size int) []byte {
		return must(hkdf.Expand(sha256.New, secretKey, "\x00"+string(rune(size))+"HPKE-v1"+suite+label+string(context), size))
	}
	block, err := aes.NewCipher(expand("key", 32))
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return must(gcm.Open(nil, expand("base_nonce", 12), body[1120:], header))
}

func TestSpecificationIsEnough(t *testing.T) {
	file := readVectors(t)
	seeds := map[string][]byte{}
	for _, key := range file.Keys {
		seeds[key.ID] = unhex(t, key.Seed)
		if got := hex.EncodeToString(specKeyID(unhex(t, key.Public))); got != key.ID {
			t.Errorf("key id %s, want %s", got, key.ID)
		}
	}
	opened := map[byte]bool{} // by suite
	for _, v := range file.Vectors {
		if len(v.Errors) > 0 {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			data, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(v.Text, "lanyard.v1."))
			if err != nil {
				t.Fatal(err)
			}
			opened[data[1]] = true
			if data[1] >= 0x80 {
				data = specVerified(t, file.Sealers, data)
			}
			n := specHeaderSize(data)
			var got []byte
			if data[1]&0x7f == 1 {
				got = specOpen(t, seeds[v.Key], data[:n], data[n:])
			} else {
				got = specOpenWith(t, file.Services[0].Keys, data[:n], data[n:], *v.Scope)
			}
			if hex.EncodeToString(got) != v.Value {
				t.Errorf("value %x, want %s", got, v.Value)
			}
		})
	}
	if len(opened) != 4 {
		t.Errorf("vectors open of %d suites, want 2, signed and not", len(opened))
	}
}
