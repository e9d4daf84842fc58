package seal

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// textPrefix begins every sealed value of this version.
const textPrefix = "lanyard.v1."

// maxText is the maximum length of a sealed value's text: four characters for three
// bytes.
const maxText = len(textPrefix) + ((maxHeader+maxBody+signatureSize)*4+2)/3

// textEncoding is base64url without padding (RFC 4648, section 5). It is strict about
// trailing bits, so that each value has one text.
func textEncoding() *base64.Encoding { return base64.RawURLEncoding.Strict() }

func encodeText(prefix string, data []byte) string {
	text := make([]byte, 0, len(prefix)+textEncoding().EncodedLen(len(data)))
	return string(textEncoding().AppendEncode(append(text, prefix...), data))
}

// decodeText returns the bytes of a sealed value's text.
func decodeText(text string) ([]byte, error) {
	if len(text) > maxText {
		return nil, malformed("it has %d characters, more than any sealed value; it holds one value of at most %d bytes", len(text), MaxValue)
	}
	encoded, ok := strings.CutPrefix(text, textPrefix)
	if !ok {
		return nil, wrongPrefix(text)
	}
	return decodeBase64(encoded)
}

// decodeBase64 decodes the one spelling that textEncoding makes.
func decodeBase64(encoded string) ([]byte, error) {
	// Go's decoder skips line breaks, even a strict one.
	broken := strings.IndexByte(encoded, '\n') >= 0 || strings.IndexByte(encoded, '\r') >= 0
	data, err := textEncoding().DecodeString(encoded)
	switch {
	case err == nil && !broken:
		return data, nil
	case strings.ContainsAny(encoded, " \t\r\n"):
		return nil, malformed("it has white space or line breaks; write it in one piece")
	case strings.Contains(encoded, "="):
		return nil, malformed("it has base64 padding (=), or it was copied with something else")
	case strings.ContainsAny(encoded, "+/"):
		return nil, malformed("it is in another alphabet than base64url")
	}
	// The decoder's own error can quote the text.
	return nil, malformed("it is not base64url, or is cut off; copy the whole text")
}

func wrongPrefix(text string) error {
	if strings.TrimSpace(text) != text {
		return malformed("it has white space around it")
	}
	if rest, ok := strings.CutPrefix(text, "lanyard.v"); ok {
		number, _, dot := strings.Cut(rest, ".")
		if dot && len(number) >= 1 && len(number) <= 4 && number[0] != '0' && strings.Trim(number, "0123456789") == "" {
			return fmt.Errorf("%w: v%s; this program knows v%d: use a newer lanyard, or seal the value again", ErrUnknownVersion, number, formatVersion)
		}
	}
	return malformed("it does not begin with %q; copy the whole text that lanyard seal printed", textPrefix)
}
