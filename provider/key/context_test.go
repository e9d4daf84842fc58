package key_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/secret"
)

func TestCanonicalIsTheDocumentedEncoding(t *testing.T) {
	for name, test := range map[string]struct {
		bound key.Context
		want  string // in hex, after the text "lanyard context v1"
	}{
		"nil":                                 {nil, ""},
		"no pairs":                            {key.Context{}, ""},
		"one pair":                            {key.Context{"a": "bc"}, "0000000161" + "000000026263"},
		"sorted by bytes":                     {key.Context{"b": "1", "a": "2", "B": "3"}, "0000000142" + "0000000133" + "0000000161" + "0000000132" + "0000000162" + "0000000131"},
		"lengths count bytes, not characters": {key.Context{"ä": "€"}, "00000002c3a4" + "00000003e282ac"},
	} {
		t.Run(name, func(t *testing.T) {
			want := hex.EncodeToString([]byte("lanyard context v1")) + test.want
			if got := hex.EncodeToString(test.bound.Canonical()); got != want {
				t.Errorf("Canonical = %s, want %s", got, want)
			}
		})
	}
}

func TestDifferentContextsHaveDifferentEncodings(t *testing.T) {
	seen := map[string]string{}
	for _, bound := range []key.Context{
		{}, {"a": "b"}, {"a": "bc"}, {"ab": "c"}, {"a": "b", "c": "d"}, {"a": "b\x00\x00\x00\x01c\x00\x00\x00\x01d"}, {"ac": "bd"}, {"a": "d", "c": "b"},
	} {
		encoded := string(bound.Canonical())
		if before, ok := seen[encoded]; ok {
			t.Errorf("%v and %s have one encoding", bound, before)
		}
		seen[encoded] = fmt.Sprint(bound)
	}
}

// A policy that compares the base64 of an encoding with a prefix must be able
// to end the prefix exactly where a pair ends.
func TestEncodingsWithTheSameFirstPairsShareABase64Prefix(t *testing.T) {
	for length := range 6 {
		namespace := strings.Repeat("n", length+1)
		first := key.Context{"cluster": "c", "namespace": namespace}.Canonical()
		for len(first)%3 != 0 {
			first = append(first, 0) // the length of the next pair's name begins so
		}
		prefix := base64.StdEncoding.EncodeToString(first)
		encode := func(namespace string) string {
			return base64.StdEncoding.EncodeToString(key.Context{"cluster": "c", "namespace": namespace, "object": "db", "serviceAccount": "web"}.Canonical())
		}
		if !strings.HasPrefix(encode(namespace), prefix) {
			t.Errorf("the encoding for %q does not begin with the prefix", namespace)
		}
		for _, other := range []string{namespace + "x", namespace[1:] + "x", namespace[1:] + "o"} {
			if strings.HasPrefix(encode(other), prefix) {
				t.Errorf("the encoding for %q begins with the prefix for %q", other, namespace)
			}
		}
	}
}

func TestContextsOutOfBoundsAreRefused(t *testing.T) {
	many := key.Context{}
	for i := range key.MaxContextPairs + 1 {
		many[fmt.Sprint(i)] = "v"
	}
	for name, test := range map[string]struct {
		bound key.Context
		good  bool
	}{
		"none":              {nil, true},
		"Unicode":           {key.Context{"größe": "☃"}, true},
		"empty name":        {key.Context{"": "v"}, false},
		"empty value":       {key.Context{"n": ""}, false},
		"control character": {key.Context{"n": "a\nb"}, false},
		"not UTF-8":         {key.Context{"n": "\xff"}, false},
		"too many":          {many, false},
		"too long":          {key.Context{"n": strings.Repeat("v", key.MaxContext)}, false},
		"just short enough": {key.Context{"n": strings.Repeat("v", key.MaxContext-len("lanyard context v1")-4-1-4)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if err := test.bound.Check(); (err == nil) != test.good || err != nil && !errors.Is(err, fault.ErrInvalid) {
				t.Errorf("Check = %v", err)
			}
		})
	}
}

func TestArgumentsOutOfBoundsAreRefused(t *testing.T) {
	sized := func(n int) []byte { return bytes.Repeat([]byte("x"), n) }
	answered := func(plaintext []byte) error {
		_, err := key.Plaintext(plaintext)
		return err
	}
	for name, test := range map[string]struct {
		err  error
		kind error
	}{
		"empty plaintext":      {key.CheckEncrypt(secret.Bytes{}, nil), fault.ErrInvalid},
		"least plaintext":      {key.CheckEncrypt(secret.New(sized(1)), nil), nil},
		"most plaintext":       {key.CheckEncrypt(secret.New(sized(key.MaxPlaintext)), nil), nil},
		"too much plaintext":   {key.CheckEncrypt(secret.New(sized(key.MaxPlaintext+1)), nil), fault.ErrInvalid},
		"plaintext, context":   {key.CheckEncrypt(secret.New(sized(1)), key.Context{"": ""}), fault.ErrInvalid},
		"empty ciphertext":     {key.CheckDecrypt(key.Ciphertext{}, nil), fault.ErrInvalid},
		"most ciphertext":      {key.CheckDecrypt(key.Ciphertext{Data: sized(key.MaxCiphertext)}, nil), nil},
		"too much ciphertext":  {key.CheckDecrypt(key.Ciphertext{Data: sized(key.MaxCiphertext + 1)}, nil), fault.ErrInvalid},
		"long version":         {key.CheckDecrypt(key.Ciphertext{Data: sized(1), Version: string(sized(key.MaxVersion + 1))}, nil), fault.ErrInvalid},
		"ciphertext, context":  {key.CheckDecrypt(key.Ciphertext{Data: sized(1)}, key.Context{"": ""}), fault.ErrInvalid},
		"empty answer":         {answered(nil), fault.ErrUnavailable},
		"answer that is whole": {answered(sized(32)), nil},
		"answer that is long":  {answered(sized(key.MaxPlaintext + 1)), fault.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			if (test.err == nil) != (test.kind == nil) || !errors.Is(test.err, test.kind) {
				t.Errorf("error %v, want kind %v", test.err, test.kind)
			}
		})
	}
}
