package seal_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"testing"
	"time"
)

// This file opens values of suite 2 with nothing but the specifications of
// sealed values and of local keys. It shares no code with the packages.

// specServiceKeyID is the section "Suite 2", "Key id".
func specServiceKeyID(name, version string) []byte {
	text := func(s string) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...) }
	sum := sha256.Sum256(slices.Concat([]byte("lanyard.v1 key id\x00\x02"), text(name), text(version)))
	return sum[:16]
}

// specContext is the section "Suite 2", "Context", in the canonical form of
// the specification of local keys.
func specContext(scope vectorScope) []byte {
	context := []byte("lanyard context v1")
	pair := func(name, value string) {
		for _, text := range []string{name, value} {
			context = append(binary.BigEndian.AppendUint32(context, uint32(len(text))), text...)
		}
	}
	for _, part := range []struct {
		name  string
		value *string
	}{{"cluster", scope.Cluster}, {"namespace", scope.Namespace}, {"service-account", scope.ServiceAccount}, {"target-object", scope.Object}} {
		if part.value != nil {
			pair(part.name, *part.value)
		}
	}
	if scope.NotAfter != 0 {
		pair("until", time.Unix(scope.NotAfter, 0).UTC().Format("2006-01-02T15:04:05Z"))
	}
	pair("use", "sealed-value")
	return context
}

// specOpenWith is the section "Suite 2" with a key file's lines, which
// docs/spec/local-key-v1.md explains.
func specOpenWith(t *testing.T, lines []string, header, body []byte, scope vectorScope) []byte {
	t.Helper()
	at, parts := 0, [3][]byte{}
	for i := range parts {
		size := int(binary.BigEndian.Uint16(body[at:]))
		parts[i] = body[at+2 : at+2+size]
		at += 2 + size
	}
	if !slices.Equal(header[2:18], specServiceKeyID(string(parts[0]), string(parts[1]))) {
		t.Error("the key id is another")
	}
	for _, line := range lines {
		plain, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			t.Fatal(err)
		}
		derive := func(salt []byte, info string, size int) []byte {
			derived, err := hkdf.Key(sha256.New, plain, salt, info, size)
			if err != nil {
				t.Fatal(err)
			}
			return derived
		}
		if hex.EncodeToString(derive(nil, "lanyard local key v1 id", 16)) != string(parts[1]) {
			continue
		}
		local := parts[2][:49]
		message := derive(local[17:], "lanyard local key v1 message", 32)
		dataKey := specGCM(t, message, parts[2][49:], slices.Concat([]byte("lanyard local key v1 data"), local, specContext(scope)))
		return specGCM(t, dataKey, body[at:], slices.Concat(header, body[:at]))
	}
	t.Fatal("no key of the version")
	return nil
}

func specGCM(t *testing.T, key, sealed, additional []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gcm.Open(nil, make([]byte, 12), sealed, additional)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}
