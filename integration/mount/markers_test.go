package mount

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"net/url"
	"strings"
	"testing"
)

// markers are planted secrets by what they are, and the ways in which each
// could show in a text.
type markers map[string][]string

// plant remembers a secret. What is found of it is found in any encoding that
// programs put bytes into texts with.
func (m markers) plant(what, secret string) string {
	raw := []byte(secret)
	ways := []string{
		secret,
		url.QueryEscape(secret), url.PathEscape(secret),
		hex.EncodeToString(raw), strings.ToUpper(hex.EncodeToString(raw)),
		strings.Trim(fmt.Sprintf("%d", raw), "[]"),   // %v of bytes
		strings.Trim(fmt.Sprintf("%q", secret), `"`), // Go's escapes
		strings.Trim(mustJSON(secret), `"`),          // JSON's
		fmt.Sprintf("% x", raw),                      // bytes in hex
	}
	// A plain hash of a weak secret is as good as the secret.
	for _, sum := range [][]byte{sumOf(sha256.New(), raw), sumOf(sha1.New(), raw), sumOf(md5.New(), raw)} {
		ways = append(ways, hex.EncodeToString(sum)[:12], base64.RawURLEncoding.EncodeToString(sum)[:12], base64.RawStdEncoding.EncodeToString(sum)[:12])
	}
	// Within a longer text, base64 depends on where the secret begins.
	for shift := range 3 {
		shifted := append(make([]byte, shift), raw...)
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := encoding.EncodeToString(shifted)
			// The first and last characters hold bits of their neighbours.
			ways = append(ways, text[min(len(text), (8*shift+5)/6):len(text)-1])
		}
	}
	m[what] = ways
	return secret
}

func sumOf(h hash.Hash, data []byte) []byte {
	h.Write(data)
	return h.Sum(nil)
}

// find names the planted secrets that a text shows.
func (m markers) find(text string) (found []string) {
	for what, ways := range m {
		for _, way := range ways {
			if strings.Contains(text, way) {
				found = append(found, what)
				break
			}
		}
	}
	return found
}

// A search that finds nothing proves something only if it can find.
func TestSearchFindsAPlantedSecretInEveryEncoding(t *testing.T) {
	m := markers{}
	secret := m.plant("password", "pl/nted +\"\x01 secret")
	for name, text := range map[string]string{
		"raw":                  "error: " + secret,
		"quoted by Go":         fmt.Sprintf("error: %q", secret),
		"in JSON":              mustJSON(map[string]string{"error": secret}),
		"bytes":                fmt.Sprintf("error: %v", []byte(secret)),
		"bytes in hex":         fmt.Sprintf("error: % x", secret),
		"hashed":               fmt.Sprintf("version %x", sha256.Sum256([]byte(secret))),
		"hex":                  fmt.Sprintf("error: %x", secret),
		"capital hex":          fmt.Sprintf("error: %X", secret),
		"query":                "http://vault/?q=" + url.QueryEscape(secret),
		"path":                 "http://vault/" + url.PathEscape(secret),
		"base64":               base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64 in a document": base64.StdEncoding.EncodeToString([]byte(`{"password":"` + secret + `"}`)),
		"base64, moved by one": base64.URLEncoding.EncodeToString([]byte(` {"password":"` + secret + `"}`)),
		"base64, moved by two": base64.URLEncoding.EncodeToString([]byte(`  {"password":"` + secret + `"}`)),
	} {
		if len(m.find(text)) != 1 {
			t.Errorf("%s: the secret is not found in %s", name, text)
		}
	}
	if found := m.find("nothing here"); len(found) != 0 {
		t.Errorf("found %v in nothing", found)
	}
}
