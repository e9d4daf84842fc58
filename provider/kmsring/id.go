package kmsring

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"

	"github.com/lanyardhq/lanyard/internal/message"
)

// The errors of Find.
var (
	// ErrUnknownKey means that no key of the ring has the key ID.
	ErrUnknownKey = errors.New("unknown key ID")
	// ErrRetiredKey means that the key of the key ID was retired.
	ErrRetiredKey = errors.New("retired key")
)

// keyIDFormat is the prefix of a key ID's hash input, which separates it from other
// hashes.
const keyIDFormat = "lanyard kms key id v1"

// KeyID identifies one version of the entry's key: SHA-256 over key service and key,
// version, epoch and context, as 43 characters of base64url. It reveals none of them,
// is the same at every plugin that has the key, and does not depend on the entry's
// name or state.
func (e *Entry) KeyID(version string) string {
	digest := sha256.New()
	writeText(digest, keyIDFormat)
	writeText(digest, e.identity())
	writeText(digest, version)
	return base64.RawURLEncoding.EncodeToString(digest.Sum(nil))
}

// identity is equal for entries of the same key.
func (e *Entry) identity() string {
	digest := sha256.New()
	writeText(digest, e.service)
	writeUint32(digest, e.Epoch)
	writeText(digest, string(e.Bound().Canonical()))
	return string(digest.Sum(nil))
}

// writeText hashes a text after its length, which is unambiguous. A hash never fails
// to write.
func writeText(digest hash.Hash, s string) {
	writeUint32(digest, uint32(len(s))) //nolint:gosec // all texts here are bounded
	digest.Write([]byte(s))
}

func writeUint32(digest hash.Hash, n uint32) { digest.Write(binary.BigEndian.AppendUint32(nil, n)) }

// Find returns the entry whose key and version have the key ID. The error wraps
// ErrUnknownKey or ErrRetiredKey and says what to do.
func (r *Ring) Find(keyID, version string) (*Entry, error) {
	for _, entry := range r.entries {
		if entry.KeyID(version) != keyID {
			continue
		}
		if entry.State == StateRetired {
			return nil, fmt.Errorf("%w: key %s of the key ring was retired and is still needed; give it the state read again, rewrite what it encrypted, and retire it after that", ErrRetiredKey, entry.Name)
		}
		return entry, nil
	}
	return nil, fmt.Errorf("%w: key ID %s belongs to none of the %d keys in the key ring (%s); put the key back with state read and its epoch and cluster (see troubleshooting: kms-key-missing)", ErrUnknownKey, short(keyID), len(r.entries), r)
}

// short shortens and escapes a key ID, which comes from the API server's storage.
func short(keyID string) string {
	return fmt.Sprintf("%q", message.Cut(keyID, 12))
}
