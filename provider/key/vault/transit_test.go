package vault

import (
	"bytes"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/key"
)

func TestOneSpellingOfEachCiphertext(t *testing.T) {
	for text, want := range map[string]string{
		"vault:v1:AAAA":            "v1",
		"vault:v999999999:AAAA":    "v999999999",
		"vault:v12:AA==":           "v12",
		"vault:v12:AAA=":           "v12",
		"vault:v0:AAAA":            "",
		"vault:v01:AAAA":           "",
		"vault:v1000000000:AAAA":   "",
		"vault:1:AAAA":             "",
		"vault:v1:":                "",
		"vault:v1:AAAA\n":          "",
		"vault:v1:AA\nAA":          "",
		"a vault:v1:AAAA":          "",
		"VAULT:v1:AAAA":            "",
		"vault:v1:AB==":            "",
		"vault:v1:AAA":             "",
		"vault:v1:AA-_":            "",
		"vault:v1:AAAA:AAAA":       "",
		"lanyard.v1.AAAA":          "",
		strings.Repeat("vault", 9): "",
	} {
		if got, ok := versionOf([]byte(text)); got != want || ok != (want != "") {
			t.Errorf("version of %q is %q, %v; want %q", text, got, ok, want)
		}
	}
}

func FuzzCiphertext(f *testing.F) {
	f.Add([]byte("vault:v1:AAAA"))
	f.Add([]byte("vault:v12:AB=="))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, data []byte) {
		version, ok := versionOf(data)
		if ok != (version != "") || ok && !bytes.HasPrefix(data, []byte("vault:"+version+":")) {
			t.Errorf("version %q, %v", version, ok)
		}
	})
}

func TestPayloadsAreBound(t *testing.T) {
	scope := key.Context{"a": "b"}
	payload := newPayload([]byte("plaintext"), scope)
	if plain, err := openPayload(payload, scope); err != nil || string(plain) != "plaintext" {
		t.Errorf("opens to %q, %v", plain, err)
	}
	for name, wrong := range map[string]struct {
		payload []byte
		bound   key.Context
	}{
		"other context":  {payload, key.Context{"a": "c"}},
		"no context":     {payload, nil},
		"empty":          {nil, scope},
		"header alone":   {payload[:payloadHeader], scope},
		"bare plaintext": {bytes.Repeat([]byte("x"), 64), scope},
		"other format":   {append([]byte{2}, payload[1:]...), scope},
	} {
		if plain, err := openPayload(wrong.payload, wrong.bound); err == nil || len(plain) > 0 {
			t.Errorf("%s: opens to %d bytes", name, len(plain))
		}
	}
}
