package seal_test

import (
	"bytes"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

var writeVectors = flag.Bool("write-vectors", false, "write "+vectorsPath+" anew; the texts change, because encapsulation is random")

func base64url(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// vectorBook collects vectors around one value that opens.
type vectorBook struct {
	t       *testing.T
	keys    map[string]hpke.PublicKey
	lines   map[string]string // of the key file of the key service, by what they stand for
	signers map[string]*seal.Sealer
	vectors []vector
}

func (b *vectorBook) key(name, state string) vectorKey {
	seed := sha256.Sum256([]byte("lanyard test vector key " + name))
	private, err := hpke.MLKEM768X25519().NewPrivateKey(seed[:])
	if err != nil {
		b.t.Fatal(err)
	}
	public := private.PublicKey()
	b.keys[name] = public
	return vectorKey{ID: hex.EncodeToString(specKeyID(public.Bytes())), State: state, Seed: hex.EncodeToString(seed[:]), Public: hex.EncodeToString(public.Bytes())}
}

func (b *vectorBook) seal(key string, scope seal.Scope, value []byte, options ...seal.Option) string {
	raw := b.keys[key].Bytes()
	public, err := seal.ParsePublicKey([]byte("kind: lanyard.public-key.v1\nid: \"" + hex.EncodeToString(specKeyID(raw)) + "\"\npublic: lanyard.public.v1." + base64url(raw) + "\n"))
	if err != nil {
		b.t.Fatal(err)
	}
	text, err := seal.Seal(public, scope, secret.New(value), options...)
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}

// asWeb is a vector in which web asks for the object at noon.
func asWeb(name, text string, errs ...string) vector {
	if errs == nil {
		errs = []string{}
	}
	return vector{Name: name, Text: text, As: vectorAs{"dev", "prod", "web"}, Object: object, Now: noon.Unix(), Errors: errs}
}

func (b *vectorBook) opens(name string, scope seal.Scope, key string, value []byte) vector {
	v := asWeb(name, b.seal(key, scope, value))
	public := scopeOf(scope)
	v.Scope, v.Value, v.Key = &public, hex.EncodeToString(value), hex.EncodeToString(specKeyID(b.keys[key].Bytes()))
	return v
}

func (b *vectorBook) add(vs ...vector) { b.vectors = append(b.vectors, vs...) }

func TestWriteVectors(t *testing.T) {
	if !*writeVectors {
		return
	}
	b := &vectorBook{t: t, keys: map[string]hpke.PublicKey{}}
	file := vectorFile{
		Comment: "Test vectors of docs/spec/sealed-value-v1.md, which describes the fields. The keys are public: use them for nothing else.",
		Keys:    []vectorKey{b.key("retired", "retired"), b.key("read", "read"), b.key("write", "write")},
	}
	b.key("unknown", "")
	file.Services = b.services()
	file.Sealers, file.Unsigned = b.sealers(), []string{"prod", "test", "n*"}

	b.addOpening()
	b.addMismatches()
	b.addTexts()
	b.addHeaders()
	b.addFlips()
	b.addKeyServices()
	b.addSigned()

	file.Vectors = b.vectors
	data, err := json.MarshalIndent(file, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorsPath, append(data, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (b *vectorBook) addOpening() {
	with := func(change func(*seal.Scope)) seal.Scope {
		scope := webScope()
		change(&scope)
		return scope
	}
	b.add(
		b.opens("opens, exact scope", webScope(), "write", []byte("correct horse battery staple")),
		b.opens("opens, under a read key", webScope(), "read", []byte("older")),
		b.opens("opens, one byte", webScope(), "write", []byte{0}),
		b.opens("opens, all bytes", webScope(), "write", allBytes()),
		b.opens("opens, any cluster", with(func(s *seal.Scope) { s.Cluster = seal.Any() }), "write", []byte("v")),
		b.opens("opens, any namespace", with(func(s *seal.Scope) { s.Namespace = seal.Any() }), "write", []byte("v")),
		b.opens("opens, any service account", with(func(s *seal.Scope) { s.ServiceAccount = seal.Any() }), "write", []byte("v")),
		b.opens("opens, any object name", with(func(s *seal.Scope) { s.Object = seal.Any() }), "write", []byte("v")),
		b.opens("opens, any of all", seal.Scope{Cluster: seal.Any(), Namespace: seal.Any(), ServiceAccount: seal.Any(), Object: seal.Any()}, "write", []byte("v")),
		b.opens("opens, at its last second", with(func(s *seal.Scope) { s.NotAfter = noon }), "write", []byte("v")),
		b.opens("opens, until the last possible second", with(func(s *seal.Scope) { s.NotAfter = time.Unix(253402300799, 0) }), "write", []byte("v")),
	)
	unicode := b.opens("opens, object name beyond ASCII", with(func(s *seal.Scope) { s.Object = seal.Exact("schlüssel/größe") }), "write", []byte("v"))
	unicode.Object = "schlüssel/größe"
	longest := b.opens("opens, the longest names", seal.Scope{
		Cluster: seal.Exact(strings.Repeat("c", 253)), Namespace: seal.Exact(strings.Repeat("n", 63)),
		ServiceAccount: seal.Exact(strings.Repeat("s", 253)), Object: seal.Exact(strings.Repeat("o", 4096)),
	}, "write", []byte("v"))
	longest.As = vectorAs{strings.Repeat("c", 253), strings.Repeat("n", 63), strings.Repeat("s", 253)}
	longest.Object = strings.Repeat("o", 4096)
	b.add(unicode, longest)
}

func allBytes() []byte {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return all
}

func (b *vectorBook) addMismatches() {
	text := b.seal("write", webScope(), []byte("v"))
	expiring := webScope()
	expiring.NotAfter = noon.Add(-time.Second)
	expired := b.seal("write", expiring, []byte("v"))

	cluster := asWeb("another cluster", text, "other-cluster")
	cluster.As.Cluster = "live"
	none := asWeb("no cluster", text, "other-cluster")
	none.As.Cluster = ""
	namespace := asWeb("another namespace", text, "other-namespace")
	namespace.As.Namespace = "test"
	account := asWeb("another service account", text, "other-service-account")
	account.As.ServiceAccount = "api"
	name := asWeb("another object", text, "other-object")
	name.Object = "db/user"
	composed := asWeb("an object name that only looks the same", b.seal("write", seal.Scope{Cluster: seal.Any(), Namespace: seal.Any(), ServiceAccount: seal.Any(), Object: seal.Exact("gr\u00fc\u00dfe")}, []byte("v")), "other-object")
	composed.Object = "gru\u0308\u00dfe"
	all := asWeb("everything is another and it has expired", expired, "other-cluster", "other-namespace", "other-service-account", "other-object", "expired")
	all.As, all.Object = vectorAs{"live", "test", "api"}, "db/user"
	before := asWeb("another namespace and an unknown key", b.seal("unknown", webScope(), []byte("v")), "other-namespace")
	before.As.Namespace = "test"
	b.add(cluster, none, namespace, account, name, composed, all, before,
		asWeb("expired a second ago", expired, "expired"),
		asWeb("unknown key", b.seal("unknown", webScope(), []byte("v")), "unknown-key"),
		asWeb("retired key", b.seal("retired", webScope(), []byte("v")), "retired-key"))
}

func (b *vectorBook) addTexts() {
	// The value's length leaves one byte in the last base64 group, so that the
	// last character has four bits that must be zero.
	text := b.seal("write", webScope(), []byte("v"))
	for i := 2; len(b.raw(text))%3 != 1; i++ {
		text = b.seal("write", webScope(), []byte(strings.Repeat("v", i)))
	}
	body := strings.TrimPrefix(text, prefix)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, text[len(text)-1])
	short := b.raw(b.seal("write", webScope(), []byte("v")))
	wrong := map[string]string{
		"empty text":                         "",
		"prefix alone":                       prefix,
		"no prefix":                          body,
		"prefix in capitals":                 "LANYARD.V1." + body,
		"another prefix":                     "lanyard.x1." + body,
		"version with a leading zero":        "lanyard.v01." + body,
		"white space before":                 " " + text,
		"newline after":                      text + "\n",
		"newline inside":                     text[:100] + "\n" + text[100:],
		"carriage return inside":             text[:100] + "\r" + text[100:],
		"padded":                             text + "==",
		"bits after the last byte":           text[:len(text)-1] + string(alphabet[last|1]),
		"ordinary base64 alphabet":           prefix + strings.NewReplacer("-", "+", "_", "/").Replace(body),
		"hexadecimal":                        prefix + hex.EncodeToString(b.raw(text)),
		"a character beyond ASCII":           text[:100] + "é" + text[100:],
		"cut by one character":               text[:len(text)-1],
		"cut in the encapsulated key":        prefix + base64url(b.raw(text)[:600]),
		"cut in the tag of a one-byte value": prefix + base64url(short[:len(short)-1]),
	}
	for _, name := range slices.Sorted(maps.Keys(wrong)) {
		b.add(asWeb("text: "+name, wrong[name], "malformed"))
	}
	b.add(
		asWeb("text: version 2", "lanyard.v2."+body, "unknown-version"),
		asWeb("text: version 9999", "lanyard.v9999."+body, "unknown-version"),
	)
}

func (b *vectorBook) raw(text string) []byte {
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, prefix))
	if err != nil {
		b.t.Fatal(err)
	}
	return raw
}

// addHeaders adds headers that no sealer writes, each before a body that is
// long enough.
func (b *vectorBook) addHeaders() {
	name := func(s string) []byte {
		return append(binary.BigEndian.AppendUint16([]byte{1}, uint16(len(s))), s...)
	}
	start := append([]byte{1, 1}, specKeyID(b.keys["write"].Bytes())...)
	head := func(parts ...[]byte) string {
		return prefix + base64url(append(append(bytes.Clone(start), bytes.Join(parts, nil)...), make([]byte, 1120+17)...))
	}
	cluster, namespace, account, obj, never := name("dev"), name("prod"), name("web"), name(object), []byte{0}
	at := func(seconds uint64) []byte { return binary.BigEndian.AppendUint64([]byte{1}, seconds) }
	good := b.raw(b.seal("write", webScope(), []byte("v")))
	version, suite3, suite0 := bytes.Clone(good), bytes.Clone(good), bytes.Clone(good)
	version[0], suite3[1], suite0[1] = 2, 3, 0

	b.add(
		asWeb("header: version byte 2", prefix+base64url(version), "unknown-version"),
		asWeb("header: suite 3", prefix+base64url(suite3), "unknown-suite"),
		asWeb("header: suite 0", prefix+base64url(suite0), "unknown-suite"),
		asWeb("header: version alone", prefix+base64url([]byte{1}), "malformed"),
		asWeb("header: cut in the key id", prefix+base64url(start[:10]), "malformed"),
		asWeb("header: cut in a name", prefix+base64url(append(bytes.Clone(start), 1, 0, 9, 'd')), "malformed"),
		asWeb("header: cut in the not-after", prefix+base64url(bytes.Join([][]byte{start, cluster, namespace, account, obj, {1, 0, 0}}, nil)), "malformed"),
		asWeb("header: tag of a name is 2", head([]byte{2, 0, 3, 'd', 'e', 'v'}, namespace, account, obj, never), "malformed"),
		asWeb("header: tag of the not-after is 2", head(cluster, namespace, account, obj, []byte{2}), "malformed"),
		asWeb("header: exact empty name", head([]byte{1, 0, 0}, namespace, account, obj, never), "malformed"),
		asWeb("header: cluster of 254 bytes", head(name(strings.Repeat("c", 254)), namespace, account, obj, never), "malformed"),
		asWeb("header: cluster with a newline", head(name("a\nb"), namespace, account, obj, never), "malformed"),
		asWeb("header: cluster with U+0085", head(name("a\u0085b"), namespace, account, obj, never), "malformed"),
		asWeb("header: cluster not UTF-8", head(name("a\xffb"), namespace, account, obj, never), "malformed"),
		asWeb("header: namespace of 64 bytes", head(cluster, name(strings.Repeat("n", 64)), account, obj, never), "malformed"),
		asWeb("header: namespace in capitals", head(cluster, name("Prod"), account, obj, never), "malformed"),
		asWeb("header: namespace with a dot", head(cluster, name("a.b"), account, obj, never), "malformed"),
		asWeb("header: service account ends in a dash", head(cluster, namespace, name("web-"), obj, never), "malformed"),
		asWeb("header: service account of 254 bytes", head(cluster, namespace, name(strings.Repeat("s", 254)), obj, never), "malformed"),
		asWeb("header: object of 4097 bytes", head(cluster, namespace, account, name(strings.Repeat("o", 4097)), never), "malformed"),
		asWeb("header: not-after 0", head(cluster, namespace, account, obj, at(0)), "malformed"),
		asWeb("header: not-after in the year 10000", head(cluster, namespace, account, obj, at(253402300800)), "malformed"),
		asWeb("header: not-after beyond 63 bits", head(cluster, namespace, account, obj, at(1<<63)), "malformed"),
	)
}

// addFlips adds values of which one bit changed, in each part that is
// authenticated.
func (b *vectorBook) addFlips() {
	good := b.raw(b.seal("write", webScope(), []byte("value")))
	body := len(good) - 1120 - len("value") - 16
	flip := func(at int, bit byte) string {
		changed := bytes.Clone(good)
		changed[at] ^= bit
		return prefix + base64url(changed)
	}
	b.add(
		asWeb("flipped: key id", flip(2, 1), "unknown-key"),
		asWeb("flipped: ML-KEM ciphertext", flip(body, 1), "authentication"),
		asWeb("flipped: X25519 point", flip(body+1088, 1), "authentication"),
		asWeb("flipped: the bit of the X25519 point that X25519 ignores", flip(body+1119, 0x80), "authentication"),
		asWeb("flipped: ciphertext", flip(body+1120, 1), "authentication"),
		asWeb("flipped: tag", flip(len(good)-1, 0x80), "authentication"),
		asWeb("trailing byte", prefix+base64url(append(bytes.Clone(good), 0)), "authentication"),
	)
	zero := bytes.Clone(good)
	clear(zero[body+1088 : body+1120])
	b.add(asWeb("X25519 point of low order", prefix+base64url(zero), "authentication"))

	// The asker matches the changed scope, so that only authentication is left
	// to refuse.
	renamed := asWeb("flipped: object name, asked for by the changed name", flip(body-2, 1), "authentication")
	renamed.Object = object[:len(object)-1] + string(object[len(object)-1]^1)
	widened := asWeb("widened: service account made any", prefix+base64url(bytes.Replace(good, []byte("\x01\x00\x03web"), []byte{0}, 1)), "authentication")
	widened.As.ServiceAccount = "api"
	b.add(renamed, widened)
	extended := b.raw(b.seal("write", expiringAtNoon(), []byte("v")))
	b.add(func() vector {
		later := bytes.Replace(extended, binary.BigEndian.AppendUint64([]byte{1}, uint64(noon.Unix())), []byte{0}, 1)
		v := asWeb("widened: not-after removed", prefix+base64url(later), "authentication")
		v.Now++
		return v
	}())
}

func expiringAtNoon() seal.Scope {
	scope := webScope()
	scope.NotAfter = noon
	return scope
}
