package local

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/lanyardhq/lanyard/provider/key"
)

// vectorFile is testdata/vectors.json, which docs/spec/local-key-v1.md
// describes.
type vectorFile struct {
	Comment string   `json:"comment"`
	Vectors []vector `json:"vectors"`
}

type vector struct {
	Name       string            `json:"name"`
	Key        string            `json:"key"` // a line of a key file
	ID         string            `json:"id"`
	Context    map[string]string `json:"context"`
	Canonical  string            `json:"canonical"`
	Salt       string            `json:"salt"`
	Plaintext  string            `json:"plaintext"`
	Ciphertext string            `json:"ciphertext"`
	Refused    bool              `json:"refused"` // the ciphertext must not decrypt
}

const vectorsPath = "testdata/vectors.json"

func readVectors(t testing.TB) []vector {
	t.Helper()
	data, err := os.ReadFile(vectorsPath)
	if err != nil {
		t.Fatal(err)
	}
	var file vectorFile
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return file.Vectors
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestVectors(t *testing.T) {
	vectors := readVectors(t)
	if len(vectors) < 8 {
		t.Fatalf("only %d vectors", len(vectors))
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			one, err := parseKey([]byte(v.Key))
			if err != nil {
				t.Fatal(err)
			}
			if one.id.String() != v.ID {
				t.Errorf("id %s, want %s", one.id, v.ID)
			}
			bound := key.Context(v.Context)
			if got := hex.EncodeToString(bound.Canonical()); got != v.Canonical {
				t.Errorf("canonical context %s, want %s", got, v.Canonical)
			}
			sealed := unhex(t, v.Ciphertext)
			if v.Refused {
				if id, ok := idOf(sealed); ok && id == one.id {
					if _, err := one.open(sealed, bound); err == nil {
						t.Error("it decrypts")
					}
				}
				return
			}
			made, err := one.seal(unhex(t, v.Salt), unhex(t, v.Plaintext), bound)
			if err != nil || !bytes.Equal(made, sealed) {
				t.Errorf("encrypts to %x, %v", made, err)
			}
			plain, err := one.open(sealed, bound)
			if err != nil || hex.EncodeToString(plain) != v.Plaintext {
				t.Errorf("decrypts to %x, %v", plain, err)
			}
		})
	}
}

// No file makes the parser panic, and one that it takes is written one way.
func FuzzKeyFile(f *testing.F) {
	line := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	for _, seed := range []string{"", "\n", "#\n", line + "\n", line, line + "\n" + line + "\n", line + "\r\n", " " + line + "\n", "AAAA\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		file, err := parseKeyFile(content)
		if err != nil {
			return
		}
		if len(file.keys) == 0 || len(file.keys) > maxKeys {
			t.Fatalf("%d keys", len(file.keys))
		}
		for _, one := range file.keys {
			if !bytes.Contains(content, []byte(base64.StdEncoding.EncodeToString(one.bytes.Reveal()))) {
				t.Error("a key is not spelled so in the file")
			}
		}
	})
}

// No ciphertext makes it panic, and none decrypts but the one that was made.
func FuzzCiphertext(f *testing.F) {
	one, err := newMasterKey([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		f.Fatal(err)
	}
	good, err := one.seal(make([]byte, saltBytes), []byte("plaintext"), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:headerBytes])
	f.Add(good[:headerBytes+tagBytes+1])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		id, ok := idOf(data)
		if !ok || id != one.id {
			return
		}
		if _, err := one.open(data, nil); (err == nil) != bytes.Equal(data, good) {
			t.Errorf("open = %v", err)
		}
	})
}
