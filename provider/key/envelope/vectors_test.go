package envelope_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/key/envelope"
)

// vectorFile is testdata/vectors.json, which docs/spec/key-envelope-v1.md
// describes.
type vectorFile struct {
	Vectors []struct {
		Name       string      `json:"name"`
		Key        string      `json:"key"` // its name
		Version    string      `json:"version"`
		DataKey    string      `json:"dataKey"`
		Wrapped    string      `json:"wrapped"`
		Context    key.Context `json:"context"`
		Plaintext  string      `json:"plaintext"`
		Ciphertext string      `json:"ciphertext"`
		Refused    bool        `json:"refused"` // the ciphertext must not open
	} `json:"vectors"`
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file vectorFile
	if err := json.Unmarshal(data, &file); err != nil || len(file.Vectors) < 10 {
		t.Fatalf("%d vectors, error %v", len(file.Vectors), err)
	}
	for _, v := range file.Vectors {
		t.Run(v.Name, func(t *testing.T) {
			dataKey, ciphertext := unhex(t, v.DataKey), key.Ciphertext{Data: unhex(t, v.Ciphertext)}
			parsed, err := envelope.Parse(ciphertext)
			var plain []byte
			if err == nil {
				plain, err = parsed.Open(v.Key, dataKey, v.Context)
			}
			if v.Refused {
				if err == nil {
					t.Error("it opens")
				}
				return
			}
			if err != nil || hex.EncodeToString(plain) != v.Plaintext || parsed.Version != v.Version || hex.EncodeToString(parsed.Wrapped) != v.Wrapped {
				t.Errorf("opens to %x of version %q under %x, %v", plain, parsed.Version, parsed.Wrapped, err)
			}
			made, err := envelope.Seal(v.Key, v.Version, dataKey, unhex(t, v.Wrapped), unhex(t, v.Plaintext), v.Context)
			if err != nil || !bytes.Equal(made.Data, ciphertext.Data) || made.Version != v.Version {
				t.Errorf("seals to %x of version %q, %v", made.Data, made.Version, err)
			}
		})
	}
}
