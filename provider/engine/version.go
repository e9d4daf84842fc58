package engine

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/lanyardhq/lanyard/internal/nodefile"
)

// versionKey keys the versions of values whose store has no versions of its
// own. A plain hash of a value would let anyone who can read a pod's status try
// out guesses of a weak one.
type versionKey [sha256.Size]byte

// newVersionKey returns a key of its own for this process.
func newVersionKey() versionKey {
	var key versionKey
	_, _ = rand.Read(key[:])
	return key
}

// maxVersionKey bounds the file of the version key in bytes.
const maxVersionKey = 64 << 10

// readVersionKey returns the operator's key, which is the same on all nodes and
// after every start.
func readVersionKey(path string) (versionKey, error) {
	data, err := nodefile.ReadPrivate(path, maxVersionKey)
	if err != nil {
		return versionKey{}, err
	}
	if len(data) < sha256.Size {
		return versionKey{}, fmt.Errorf("%s: has %d bytes; it needs at least %d random ones", path, len(data), sha256.Size)
	}
	return versionKey(sha256.Sum256(data)), nil
}

// version is a keyed hash of a value. What it is a value of is part of it, so
// that equal values in different places do not show that they are equal.
func (k versionKey) version(of, value []byte) string {
	mac := hmac.New(sha256.New, k[:])
	mac.Write([]byte("lanyard version v1"))
	fmt.Fprintf(mac, " %d ", len(of))
	mac.Write(of)
	mac.Write(value)
	return hex.EncodeToString(mac.Sum(nil)[:12])
}
