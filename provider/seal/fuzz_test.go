package seal_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/key/local"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// What Parse accepts has no other spelling, is within all bounds, and what it
// refuses it refuses with one of the three errors of parsing.
func FuzzParse(f *testing.F) {
	for _, v := range readVectors(f).Vectors {
		f.Add(v.Text)
	}
	keys := seal.Keys{Ring: newRing(f), Services: []*seal.ServiceKey{named(f, "prod", localKey(f, newLine(f)), true)}}
	f.Fuzz(func(t *testing.T, text string) {
		sealed, err := seal.Parse(text)
		if err != nil {
			if !errors.Is(err, seal.ErrMalformed) && !errors.Is(err, seal.ErrUnknownVersion) && !errors.Is(err, seal.ErrUnknownSuite) {
				t.Fatalf("error of no known kind: %v", err)
			}
			if len(err.Error()) > 2000 {
				t.Fatalf("error of %d bytes", len(err.Error()))
			}
			return
		}
		if err := sealed.Scope().Validate(); err != nil {
			t.Fatalf("accepted a scope that cannot be sealed: %v", err)
		}
		if sealed.Size() < 1 || sealed.Size() > seal.MaxValue {
			t.Fatalf("size %d", sealed.Size())
		}
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, prefix))
		if err != nil || prefix+base64.RawURLEncoding.EncodeToString(raw) != text {
			t.Fatalf("accepted another spelling: %v", err)
		}
		got := seal.EncodeHeader(sealed)
		if !bytes.HasPrefix(raw, got) {
			t.Fatalf("header encodes again as %x", got)
		}
		body := sealed.Size() + 16
		if _, signed := sealed.Sealer(); signed != (raw[1] >= 0x80) {
			t.Fatalf("signed %v, and the byte of the suite is %x", signed, raw[1])
		} else if signed {
			body += 64
		}
		if name, version, ok := sealed.ServiceKey(); ok {
			wrapped := len(raw) - len(got) - body - 3*2 - len(name) - len(version)
			if wrapped < 1 || wrapped > seal.MaxWrapped || !bytes.Equal(got[2:18], specServiceKeyID(name, version)) {
				t.Fatalf("wrapped key of %d bytes, of key %q in version %q", wrapped, name, version)
			}
		} else if len(raw)-len(got) != body+1120 {
			t.Fatalf("a body of %d bytes for %d", len(raw)-len(got), sealed.Size())
		}
		if value, err := sealed.Open(t.Context(), keys, web, object, noon); err == nil || value.Len() != 0 {
			t.Fatal("a key that nobody sealed to opened a value")
		}
	})
}

// A ring that is accepted can be written and read again without a change, and
// can be sealed to; an error never quotes private key text.
func FuzzParseKeyRing(f *testing.F) {
	ring := newRing(f)
	rotated, err := ring.Rotate(noon)
	if err != nil {
		f.Fatal(err)
	}
	retired, err := rotated.Retire(ring.Public().ID())
	if err != nil {
		f.Fatal(err)
	}
	for _, r := range []*seal.KeyRing{ring, rotated, retired} {
		f.Add([]byte(marshal(f, r)))
	}
	f.Add(ring.Public().Marshal())
	_, with := newService(f)
	f.Add([]byte(marshal(f, wrap(f, retired, with))))
	_, private, _ := strings.Cut(marshal(f, ring), "lanyard.private.v1.")
	f.Fuzz(func(t *testing.T, data []byte) {
		parsed, err := seal.ParseKeyRing(secret.New(data))
		if err != nil {
			if strings.Contains(err.Error(), private[:16]) {
				t.Fatalf("error quotes a private key: %v", err)
			}
			return
		}
		if got := marshal(t, reread(t, parsed)); got != marshal(t, parsed) {
			t.Fatalf("reads back as\n%s", got)
		}
		parsed.Public()
	})
}

// What names a key of a key service or a sealer is read or refused, whatever it
// holds; a sealer that is read can be written and read again, and an error quotes
// no private key.
func FuzzParseFilesOfKeys(f *testing.F) {
	sealer, err := seal.NewSealer("ci")
	if err != nil {
		f.Fatal(err)
	}
	private := sealer.Marshal().RevealString()
	f.Add([]byte(private))
	f.Add(sealer.Public().Marshal())
	f.Add([]byte("kind: lanyard.seal-key.v1\nname: prod\ncluster: dev\nservice: {type: local, file: /keys}\n"))
	_, seed, _ := strings.Cut(private, "lanyard.sealer-private.v1.")
	f.Fuzz(func(t *testing.T, data []byte) {
		if key, err := seal.ParseServiceKey(data, []key.Type{local.NewType()}); err == nil {
			if text := seal.WrongServiceKeyName(key.Name()); text != "" {
				t.Errorf("accepted a name that %s", text)
			}
			key.Close()
		}
		if read, err := seal.ParseSealer(data); err == nil {
			again, err := seal.ParseSealer(read.Marshal().Reveal())
			if err != nil || again.Public().ID() != read.Public().ID() {
				t.Fatalf("reads back as %v, %v", again, err)
			}
		} else if strings.Contains(err.Error(), seed[:16]) {
			t.Fatalf("error quotes a private key: %v", err)
		}
		if public, err := seal.ParseSealerPublic(data); err == nil {
			again, err := seal.ParseSealerPublic(public.Marshal())
			if err != nil || again.ID() != public.ID() {
				t.Fatalf("reads back as %v, %v", again, err)
			}
		}
	})
}
