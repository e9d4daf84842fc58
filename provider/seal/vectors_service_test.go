package seal_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// services are the keys that the vectors are opened with: one in two versions,
// whose third and oldest is gone.
func (b *vectorBook) services() []vectorService {
	b.lines = map[string]string{}
	for _, name := range []string{"gone", "older", "current"} {
		plain := sha256.Sum256([]byte("lanyard test vector local key " + name))
		b.lines[name] = base64.StdEncoding.EncodeToString(plain[:])
	}
	return []vectorService{{Name: "prod", Keys: []string{b.lines["current"], b.lines["older"]}}}
}

// sealWith seals with a key of the name whose key file has that line alone.
func (b *vectorBook) sealWith(name, line string, scope seal.Scope, value []byte, options ...seal.Option) string {
	with, err := seal.NewServiceKey(name, localKey(b.t, b.lines[line]), true)
	if err != nil {
		b.t.Fatal(err)
	}
	text, err := seal.SealWith(b.t.Context(), with, scope, secret.New(value), options...)
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}

func (b *vectorBook) opensWith(name, line string, scope seal.Scope, value []byte) vector {
	v := asWeb("key service: "+name, b.sealWith("prod", line, scope, value))
	public := scopeOf(scope)
	v.Scope, v.Value, v.Key = &public, hex.EncodeToString(value), hex.EncodeToString(b.raw(v.Text)[2:18])
	return v
}

func (b *vectorBook) addKeyServices() {
	anywhere := seal.Scope{Cluster: seal.Any(), Namespace: seal.Any(), ServiceAccount: seal.Any(), Object: seal.Any()}
	b.add(
		b.opensWith("opens, exact scope", "current", webScope(), []byte("correct horse battery staple")),
		b.opensWith("opens, under an older version", "older", webScope(), []byte("older")),
		b.opensWith("opens, one byte", "current", webScope(), []byte{0}),
		b.opensWith("opens, all bytes", "current", webScope(), allBytes()),
		b.opensWith("opens, any of all", "current", anywhere, []byte("v")),
		b.opensWith("opens, at its last second", "current", expiringAtNoon(), []byte("v")),
		asWeb("key service: unknown key", b.sealWith("test", "current", webScope(), []byte("v")), "unknown-key"),
		asWeb("key service: a version that is gone", b.sealWith("prod", "gone", webScope(), []byte("v")), "key-service"),
	)
	other := asWeb("key service: another namespace and an unknown key", b.sealWith("test", "current", webScope(), []byte("v")), "other-namespace")
	other.As.Namespace = "test"
	b.add(other)
	b.addKeyParts()
	b.addMoved()
}

// addKeyParts adds bodies that no sealer writes, each before a ciphertext that
// is long enough.
func (b *vectorBook) addKeyParts() {
	good := b.raw(b.sealWith("prod", "current", webScope(), []byte("v")))
	head := bytes.Clone(good[:specHeaderSize(good)])
	sized := func(text string) []byte {
		return append(binary.BigEndian.AppendUint16(nil, uint16(len(text))), text...)
	}
	body := func(name, version string, wrapped []byte, ciphertext int) string {
		copy(head[2:18], specServiceKeyID(name, version))
		return prefix + base64url(bytes.Join([][]byte{head, sized(name), sized(version), sized(string(wrapped)), make([]byte, ciphertext)}, nil))
	}
	w := make([]byte, 97)
	otherID := bytes.Clone(good)
	otherID[2] ^= 1
	long := webScope()
	long.Object = seal.Exact(strings.Repeat("o", 4096))
	longHead := b.raw(b.seal("write", long, []byte("v")))
	longHead = longHead[:specHeaderSize(longHead)]
	longHead[1] = 2
	copy(longHead[2:18], specServiceKeyID("prod", "1"))
	tooLong := prefix + base64url(bytes.Join([][]byte{longHead, sized("prod"), sized("1"), sized("w"), make([]byte, 17)}, nil))

	for _, c := range []struct{ name, text string }{
		{"no name", body("", "1", w, 17)},
		{"name of 64 bytes", body(strings.Repeat("k", 64), "1", w, 17)},
		{"name with a space", body("a b", "1", w, 17)},
		{"name beyond ASCII", body("schlüssel", "1", w, 17)},
		{"no version", body("prod", "", w, 17)},
		{"version of 513 bytes", body("prod", strings.Repeat("1", 513), w, 17)},
		{"version with a newline", body("prod", "1\n", w, 17)},
		{"version not UTF-8", body("prod", "\xff", w, 17)},
		{"no wrapped key", body("prod", "1", nil, 17)},
		{"wrapped key of 4097 bytes", body("prod", "1", make([]byte, 4097), 17)},
		{"no value", body("prod", "1", w, 16)},
		{"cut in the wrapped key", prefix + base64url(good[:len(good)-40])},
		{"key id of another key", prefix + base64url(otherID)},
		{"scope that is too long for a context", tooLong},
	} {
		b.add(asWeb("key service: "+c.name, c.text, "malformed"))
	}
}

// addMoved adds values that were changed after they were sealed. The asker
// matches the changed scope, so that the key service alone is left to refuse.
func (b *vectorBook) addMoved() {
	good := b.raw(b.sealWith("prod", "current", webScope(), []byte("value")))
	change := func(from, to string) string {
		return prefix + base64url(bytes.Replace(bytes.Clone(good), []byte(from), []byte(to), 1))
	}
	flip := func(fromEnd int, bit byte) string {
		changed := bytes.Clone(good)
		changed[len(changed)-fromEnd] ^= bit
		return prefix + base64url(changed)
	}
	moved := asWeb("key service: moved to another namespace", change("\x01\x00\x04prod", "\x01\x00\x04test"), "key-service")
	moved.As.Namespace = "test"
	widened := asWeb("key service: service account made any", change("\x01\x00\x03web", "\x00"), "key-service")
	widened.As.ServiceAccount = "api"
	renamed := asWeb("key service: object name changed", change(object, "db/passwerd"), "key-service")
	renamed.Object = "db/passwerd"
	b.add(moved, widened, renamed,
		asWeb("key service: flipped: wrapped key", flip(5+16+1, 1), "key-service"),
		asWeb("key service: flipped: ciphertext", flip(16+1, 1), "authentication"),
		asWeb("key service: flipped: tag", flip(1, 0x80), "authentication"),
		asWeb("key service: trailing byte", prefix+base64url(append(bytes.Clone(good), 0)), "authentication"))
	swapped := b.raw(b.sealWith("prod", "current", webScope(), []byte("value")))
	ciphertext := 5 + 16
	b.add(asWeb("key service: another value's wrapped key", prefix+base64url(append(bytes.Clone(swapped[:len(swapped)-ciphertext]), good[len(good)-ciphertext:]...)), "authentication"))
}
