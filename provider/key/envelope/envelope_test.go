package envelope_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/key/envelope"
)

var (
	dataKey = []byte("0123456789abcdef0123456789abcdef")
	scope   = key.Context{"namespace": "prod"}
)

func sealed(t testing.TB) key.Ciphertext {
	t.Helper()
	made, err := envelope.Seal("the key", "v1", dataKey, []byte("wrapped"), []byte("plaintext"), scope)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestEnvelopeOpensToWhatWasSealed(t *testing.T) {
	made := sealed(t)
	for _, version := range []string{"", "v1"} {
		parsed, err := envelope.Parse(key.Ciphertext{Data: made.Data, Version: version})
		if err != nil {
			t.Fatal(err)
		}
		plain, err := parsed.Open("the key", dataKey, scope)
		if err != nil || string(plain) != "plaintext" || parsed.Version != "v1" || string(parsed.Wrapped) != "wrapped" {
			t.Errorf("opens to %q of %q under %q, %v", plain, parsed.Version, parsed.Wrapped, err)
		}
	}
}

func TestEveryBitOfAnEnvelopeIsBound(t *testing.T) {
	made := sealed(t)
	for i := range made.Data {
		for bit := range 8 {
			changed := key.Ciphertext{Data: bytes.Clone(made.Data)}
			changed.Data[i] ^= 1 << bit
			parsed, err := envelope.Parse(changed)
			if err == nil {
				// The key service would refuse a changed wrapped key; here it
				// is the envelope's to find out.
				_, err = parsed.Open("the key", dataKey, scope)
			}
			if !errors.Is(err, fault.ErrInvalid) {
				t.Errorf("bit %d of byte %d: error %v", bit, i, err)
			}
		}
	}
}

func TestWrongUseIsRefused(t *testing.T) {
	made := sealed(t)
	parsed, err := envelope.Parse(made)
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() error{
		"another context":   func() error { _, err := parsed.Open("the key", dataKey, nil); return err },
		"another key":       func() error { _, err := parsed.Open("other", dataKey, scope); return err },
		"another data key":  func() error { _, err := parsed.Open("the key", bytes.Repeat([]byte{1}, 32), scope); return err },
		"another version":   func() error { _, err := envelope.Parse(key.Ciphertext{Data: made.Data, Version: "v2"}); return err },
		"without plaintext": func() error { _, err := envelope.Parse(key.Ciphertext{Data: made.Data[:1+4+9+16]}); return err },
	} {
		if err := open(); !errors.Is(err, fault.ErrInvalid) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := parsed.Open("the key", dataKey[:16], scope); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("short data key: error %v", err)
	}
	for name, made := range map[string]struct {
		version, dataKey, wrapped string
	}{
		"no version": {"", string(dataKey), "w"}, "no wrapped key": {"v", string(dataKey), ""}, "short data key": {"v", "short", "w"},
	} {
		if _, err := envelope.Seal("the key", made.version, []byte(made.dataKey), []byte(made.wrapped), []byte("p"), nil); !errors.Is(err, fault.ErrUnavailable) {
			t.Errorf("Seal with %s: error %v", name, err)
		}
	}
}

// No ciphertext makes it panic, and none opens but the one that was sealed.
func FuzzEnvelope(f *testing.F) {
	good := sealed(f)
	f.Add(good.Data)
	f.Add([]byte{1})
	f.Add([]byte{1, 0, 1, 'v', 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		ciphertext := key.Ciphertext{Data: data}
		if key.CheckDecrypt(ciphertext, nil) != nil {
			return
		}
		parsed, err := envelope.Parse(ciphertext)
		if err != nil {
			return
		}
		if _, err := parsed.Open("the key", dataKey, scope); (err == nil) != bytes.Equal(data, good.Data) {
			t.Errorf("Open = %v", err)
		}
	})
}
