package seal_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"

	"github.com/lanyardhq/lanyard/provider/seal"
)

// sealers are those that the vectors trust: for the namespaces signed and prod,
// where values may be unsigned too. A third sealer is not trusted at all.
func (b *vectorBook) sealers() []vectorSealer {
	b.signers = map[string]*seal.Sealer{}
	made := make([]vectorSealer, 0, 3)
	for _, name := range []string{"ci", "other", "unknown"} {
		seed := sha256.Sum256([]byte("lanyard test vector sealer " + name))
		public, ok := ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)
		if !ok {
			b.t.Fatal("no key of Ed25519")
		}
		id := hex.EncodeToString(specSealerID(public))
		path := filepath.Join(b.t.TempDir(), "sealer")
		if err := os.WriteFile(path, []byte("kind: lanyard.sealer.v1\nname: "+name+"\nid: \""+id+"\"\nprivate: lanyard.sealer-private.v1."+base64url(seed[:])+"\n"), 0o600); err != nil {
			b.t.Fatal(err)
		}
		signer, err := seal.ReadSealer(path)
		if err != nil {
			b.t.Fatal(err)
		}
		b.signers[name] = signer
		made = append(made, vectorSealer{ID: id, Seed: hex.EncodeToString(seed[:]), Public: hex.EncodeToString(public), Namespaces: []string{"prod", "signed"}})
	}
	made[1].Namespaces = []string{"else"}
	return made[:2]
}

// signedScope is one of a namespace in which values must be signed.
func signedScope() seal.Scope {
	scope := webScope()
	scope.Namespace = seal.Exact("signed")
	return scope
}

func (b *vectorBook) addSigned() {
	in := func(v vector) vector {
		v.As.Namespace = "signed"
		return v
	}
	ci, other, unknown := seal.SignedBy(b.signers["ci"]), seal.SignedBy(b.signers["other"]), seal.SignedBy(b.signers["unknown"])
	text := b.seal("write", signedScope(), []byte("value"), ci)
	opens := func(name, text string, scope seal.Scope) vector {
		v := asWeb("signed: "+name, text)
		public := scopeOf(scope)
		v.Scope, v.Value, v.Key, v.Sealer = &public, hex.EncodeToString([]byte("value")), hex.EncodeToString(b.raw(text)[2:18]), b.signers["ci"].Public().ID().String()
		return v
	}
	b.add(
		in(opens("opens", text, signedScope())),
		in(opens("opens, of a key service", b.sealWith("prod", "current", signedScope(), []byte("value"), ci), signedScope())),
		opens("opens, where it need not be signed", b.seal("write", webScope(), []byte("value"), ci), webScope()),
		in(asWeb("unsigned: of a public key", b.seal("write", signedScope(), []byte("value")), "unsigned")),
		in(asWeb("unsigned: of a key service", b.sealWith("prod", "current", signedScope(), []byte("value")), "unsigned")),
		in(asWeb("unsigned: before an unknown key", b.seal("unknown", signedScope(), []byte("value")), "unsigned")),
		in(asWeb("signed: by a sealer of another namespace", b.seal("write", signedScope(), []byte("value"), other), "unknown-sealer")),
		in(asWeb("signed: by an unknown sealer", b.seal("write", signedScope(), []byte("value"), unknown), "unknown-sealer")),
		asWeb("signed: by an unknown sealer, where it need not be signed", b.seal("write", webScope(), []byte("value"), unknown), "unknown-sealer"),
		in(asWeb("signed: with an unknown key", b.seal("unknown", signedScope(), []byte("value"), ci), "unknown-key")),
	)
	b.addForged(text, in)
}

// addForged adds what can be made of a signed value without its sealer's key.
func (b *vectorBook) addForged(text string, in func(vector) vector) {
	raw := b.raw(text)
	end := len(raw) - ed25519.SignatureSize
	changed := func(at int, bit byte) string {
		flipped := bytes.Clone(raw)
		flipped[at] ^= bit
		return prefix + base64url(flipped)
	}
	another := b.raw(b.seal("write", signedScope(), []byte("value"), seal.SignedBy(b.signers["ci"])))
	// The scalar of a signature has a second spelling, which RFC 8032 forbids.
	order := []byte{0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10}
	spelled := bytes.Clone(raw)
	carry := 0
	for i, digit := range order {
		carry += int(spelled[end+32+i]) + int(digit)
		spelled[end+32+i] = byte(carry)
		carry >>= 8
	}
	kind := bytes.Clone(raw)
	header := specHeaderSize(raw)
	kind[header-17] = 2
	// Without its signature and the bit that says so, it is another value.
	stripped := append(bytes.Clone(raw[:header-17]), raw[header:end]...)
	stripped[1] &^= 0x80
	// With the id of another sealer, signed by that one, who is trusted where it is
	// asked for, it is still another value.
	anywhere := signedScope()
	anywhere.Namespace = seal.Any()
	adopted := b.raw(b.seal("write", anywhere, []byte("value"), seal.SignedBy(b.signers["ci"])))
	adopted = adopted[:len(adopted)-ed25519.SignatureSize]
	id := b.signers["other"].Public().ID()
	copy(adopted[specHeaderSize(adopted)-16:], id[:])
	seed := sha256.Sum256([]byte("lanyard test vector sealer other"))
	adopted = append(adopted, ed25519.Sign(ed25519.NewKeyFromSeed(seed[:]), append([]byte("lanyard.v1 sealed value signature\x00"), adopted...))...)
	elsewhere := asWeb("signed: adopted by another sealer", prefix+base64url(adopted), "authentication")
	elsewhere.As.Namespace = "else"
	b.add(
		in(asWeb("signed: flipped: signature", changed(len(raw)-1, 1), "signature")),
		in(asWeb("signed: flipped: ciphertext", changed(end-1, 1), "signature")),
		in(asWeb("signed: flipped: encapsulated key", changed(header, 1), "signature")),
		in(asWeb("signed: flipped: key id", changed(2, 1), "signature")),
		in(asWeb("signed: flipped: sealer id", changed(header-1, 1), "unknown-sealer")),
		in(asWeb("signed: another value's signature", prefix+base64url(append(bytes.Clone(raw[:end]), another[len(another)-64:]...)), "signature")),
		in(asWeb("signed: a second spelling of the signature", prefix+base64url(spelled), "signature")),
		in(asWeb("signed: kind of signature 2", prefix+base64url(kind), "unknown-suite")),
		in(asWeb("signed: signature cut off", prefix+base64url(raw[:end]), "malformed")),
		in(asWeb("signed: cut in the signature", prefix+base64url(raw[:header+40]), "malformed")),
		in(asWeb("signed: stripped", prefix+base64url(stripped), "unsigned")),
		elsewhere,
	)
	// Where no signature is needed, what was stripped does not open either.
	prodRaw := b.raw(b.seal("write", webScope(), []byte("value"), seal.SignedBy(b.signers["ci"])))
	prodHeader := specHeaderSize(prodRaw)
	bare := append(bytes.Clone(prodRaw[:prodHeader-17]), prodRaw[prodHeader:len(prodRaw)-64]...)
	bare[1] &^= 0x80
	b.add(asWeb("signed: stripped, where it need not be signed", prefix+base64url(bare), "authentication"))
}
