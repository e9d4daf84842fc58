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

// MaxWrapped is the maximum size of a wrapped data key in bytes. The largest in
// practice has 2613: 32 bytes wrapped by an RSA key, in an envelope.
const MaxWrapped = 4096

// maxKeyPart is the maximum size of an encoded keyPart.
const maxKeyPart = 3*2 + MaxServiceKey + key.MaxVersion + MaxWrapped

// keyPart is the plaintext, authenticated start of a SuiteKeyService body: the
// service key's name, its version and the wrapped data key, each preceded by its
// length in two bytes.
type keyPart struct {
	name    string
	version string
	wrapped []byte
}

// id hashes the key's name and version. The header holds it where HPKE has the ID of
// the public key, so that all headers have one layout. Any other ID is malformed.
func (p keyPart) id() KeyID {
	named := append([]byte("lanyard.v1 key id\x00"), byte(SuiteKeyService))
	named = appendSized(named, p.name)
	named = appendSized(named, p.version)
	sum := sha256.Sum256(named)
	return KeyID(sum[:keyIDSize])
}

// encode returns the only encoding of p. It fails if the key service returned a
// version or wrapped key that does not fit.
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

// decodeKeyPart decodes the keyPart at the start of body and returns its length. It
// accepts only what encode returns. The wrapped key shares the memory of body.
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

// WrongServiceKeyName returns the problem with the name of a ServiceKey or Sealer, or
// "".
func WrongServiceKeyName(name string) string {
	if !message.IsPlainName(name, MaxServiceKey) {
		return fmt.Sprintf("must be 1 to %d letters, digits, dots, dashes and underscores", MaxServiceKey)
	}
	return ""
}

func wrongVersion(version string) bool {
	return version == "" || len(version) > key.MaxVersion || !utf8.ValidString(version) || strings.ContainsFunc(version, isControl)
}
