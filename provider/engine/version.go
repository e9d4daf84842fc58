package engine

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"slices"
	"time"

	"github.com/lanyardhq/lanyard/internal/nodefile"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// versionKey keys the versions of objects. A plain hash of a value would let anyone
// who can read a pod's status try out guesses of a weak one.
type versionKey struct {
	secret [sha256.Size]byte
	// fingerprint is what all versions under this key, of this form, begin with. It tells
	// versions that moved because their value did from those that moved because the
	// key or the form did, so that nothing is restarted for the latter.
	fingerprint string
}

// versionForm names what is hashed and how. Whoever changes that changes the name.
const versionForm = "lanyard version v3"

// newVersionKey returns a key of its own for this process.
func newVersionKey() versionKey {
	var random [sha256.Size]byte
	_, _ = rand.Read(random[:])
	return versionKeyOf(random[:])
}

// maxVersionKey bounds the file of the version key in bytes.
const maxVersionKey = 64 << 10

// readVersionKey returns the key in the operator's file.
func readVersionKey(path string) (versionKey, error) {
	data, err := nodefile.ReadPrivate(path, maxVersionKey)
	if err != nil {
		return versionKey{}, err
	}
	if len(data) < sha256.Size {
		return versionKey{}, fmt.Errorf("%s: has %d bytes; it needs at least %d random ones", path, len(data), sha256.Size)
	}
	return versionKeyOf(data), nil
}

// versionKeyOf makes a key of secret bytes of any length.
func versionKeyOf(secret []byte) versionKey {
	key := versionKey{secret: sha256.Sum256(secret)}
	mac := hmac.New(sha256.New, key.secret[:])
	write(mac, versionForm+": fingerprint")
	key.fingerprint = hex.EncodeToString(mac.Sum(nil)[:4])
	return key
}

// versionKey is the key of the operator's file or of the installation's Secret, else
// one of this process.
func (e *Engine) versionKey(ctx context.Context, end time.Time, r *rules) (versionKey, error) {
	name := r.config.Cache.VersionKeySecret
	if name == "" || e.keys == nil {
		return r.keyed, nil
	}
	if key := r.installed.Load(); key != nil {
		return *key, nil
	}
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	plain, err := e.keys(ctx, name)
	if err != nil {
		return versionKey{}, &MountError{Kind: fault.ErrUnavailable, Text: fmt.Sprintf("the key of versions (cache.versionKeySecret) is not known: %v", err)}
	}
	key := versionKeyOf(plain.Reveal())
	r.installed.Store(&key)
	return key, nil
}

// version is the version of an object whose files are these: a keyed hash of their
// bytes. For an expanded object the files' names are part of it.
//
// Whose object it is and what the class says of it are part of the hash too, so that
// no other tenant gets an equal version for a guessed value, and two objects do not
// show that they are equal. Nothing else is: no UID, no setting of the operator, no
// order of a map, so that the version is the same on every node and after every
// restart. What a difference tells is in server/sync/restart, record.go.
func (k versionKey) version(as identity.Identity, o *planned, files []File) string {
	mac := hmac.New(sha256.New, k.secret[:])
	write(mac, versionForm)
	write(mac, as.Namespace)
	write(mac, as.ServiceAccount)
	write(mac, o.definition[:])
	for _, f := range files {
		if o.Expand {
			write(mac, f.Path)
		}
		write(mac, f.Contents)
	}
	return k.fingerprint + "-" + hex.EncodeToString(mac.Sum(nil)[:16])
}

// write hashes a part after its length, so that no two lists of parts are alike.
func write[T string | []byte](to hash.Hash, part T) {
	to.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
	to.Write([]byte(part))
}

// definition is a digest of what an object is to the class: its name, its place in a
// store and what the class itself says of that store. A sealed text is no part of it,
// because sealing a value again changes the text and not the value.
func definition(o spec.Object, storeSettings map[string]any) [sha256.Size]byte {
	canonical, err := json.Marshal(struct {
		ID, Path, Store, Key, Version, Template, Property, Encoding string
		Sealed, Expand                                              bool
		Options, StoreSettings                                      map[string]any
	}{o.ID(), o.Path, o.Store, o.Key, o.Version, o.Template, o.Property, o.Encoding, o.Sealed != "", o.Expand, o.Options, storeSettings})
	if err != nil {
		return [sha256.Size]byte{} // what is no JSON is reported where the source is made
	}
	return sha256.Sum256(canonical)
}

// defineTemplates adds to each template's definition those of the objects that it is
// made of.
func (p *planner) defineTemplates() {
	byName := map[string]*planned{}
	for i := range p.plan.objects {
		if o := &p.plan.objects[i]; o.template == nil {
			byName[o.Name], byName[o.Path] = o, o
		}
	}
	for i := range p.plan.objects {
		o := &p.plan.objects[i]
		if o.template == nil {
			continue
		}
		digest := sha256.New()
		digest.Write(o.definition[:])
		for _, name := range slices.Sorted(slices.Values(o.template.Names())) {
			if used := byName[name]; used != nil && name != "" {
				digest.Write(used.definition[:])
			}
		}
		o.definition = [sha256.Size]byte(digest.Sum(nil))
	}
}
