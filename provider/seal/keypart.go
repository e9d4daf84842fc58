package seal

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/key"
)

// MaxServiceKey is the longest name of a ServiceKey in bytes.
const MaxServiceKey = 63

// MaxWrapped is the longest wrapped data key in bytes. The longest that a key
// service makes of 32 bytes has 2613: that of an RSA key, in an envelope.
const MaxWrapped = 4096

// maxKeyPart is the longest keyPart.
const maxKeyPart = 3*2 + MaxServiceKey + key.MaxVersion + MaxWrapped

// keyPart is what a body of SuiteKeyService begins with, in the clear and
// authenticated: by which key, in which version, and the data key that it
// wrapped. Each has its length in two bytes before it.
type keyPart struct {
	name    string
	version string
	wrapped []byte
}

// id names the key and its version. A header has it in the place of a public
// key's, so that all headers are alike; nothing else follows from it, and one
// that is of another key is malformed.
func (p keyPart) id() KeyID {
	named := append([]byte("lanyard.v1 key id\x00"), byte(SuiteKeyService))
	named = appendSized(named, p.name)
	named = appendSized(named, p.version)
	sum := sha256.Sum256(named)
	return KeyID(sum[:keyIDSize])
}

// encode is the one encoding of p. The error says what the key service made
// that has no place in it.
func (p keyPart) encode() ([]byte, error) {
	if wrongVersion(p.version) || len(p.wrapped) < 1 || len(p.wrapped) > MaxWrapped {
		return nil, fmt.Errorf("the key service made a wrapped key of %d bytes under a version of %d; at most %d and %d are possible", len(p.wrapped), len(p.version), MaxWrapped, key.MaxVersion)
	}
	part := appendSized(nil, p.name)
	part = appendSized(part, p.version)
	return appendSized(part, string(p.wrapped)), nil
}

func appendSized(to []byte, text string) []byte {
	to = binary.BigEndian.AppendUint16(to, uint16(len(text))) //nolint:gosec // all that have a place in a keyPart are shorter
	return append(to, text...)
}

// decodeKeyPart reads what encode makes, and nothing else, from the front of a
// body, and returns its length too. The wrapped key is a part of body and not a
// copy.
func decodeKeyPart(body []byte) (keyPart, int, error) {
	r := reader{rest: body}
	part := keyPart{
		name:    string(r.sized("key's name", MaxServiceKey)),
		version: string(r.sized("key's version", key.MaxVersion)),
		wrapped: r.sized("wrapped key", MaxWrapped),
	}
	if r.err != nil {
		return keyPart{}, 0, r.err
	}
	if text := WrongServiceKeyName(part.name); text != "" {
		return keyPart{}, 0, malformed("the key's name %s", text)
	}
	if wrongVersion(part.version) {
		return keyPart{}, 0, malformed("the key's version is not plain UTF-8 text")
	}
	return part, len(body) - len(r.rest), nil
}

// WrongServiceKeyName says what is wrong with the name of a ServiceKey, or
// nothing.
func WrongServiceKeyName(name string) string {
	if !message.IsPlainName(name, MaxServiceKey) {
		return fmt.Sprintf("must be 1 to %d letters, digits, dots, dashes and underscores", MaxServiceKey)
	}
	return ""
}

func wrongVersion(version string) bool {
	return version == "" || len(version) > key.MaxVersion || !utf8.ValidString(version) || strings.ContainsFunc(version, isControl)
}
