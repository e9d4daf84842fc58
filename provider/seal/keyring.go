package seal

import (
	"context"
	"crypto/hpke"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
)

// State is the permitted use of a key in a ring.
type State string

// The states of a key, in their order over its lifetime.
const (
	// StateWrite is the one key that values are sealed to. It opens them too.
	StateWrite State = "write"
	// StateRead is a former write key: it opens values and seals none.
	StateRead State = "read"
	// StateRetired is a key without its private part. Its ID stays, so that a value
	// sealed to it fails as retired and not as unknown.
	StateRetired State = "retired"
)

// maxKeys is the maximum number of keys in a ring: 85 years of monthly rotation.
const maxKeys = 1024

// Key describes one key of a ring, without key material.
type Key struct {
	ID      KeyID
	State   State
	Created time.Time // in whole seconds
}

// KeyRing holds the private keys that open sealed values. It is immutable: Rotate and
// Retire return a new one. It prints no key.
//
// In production a key service wraps the private keys; see Wrap. A plain ring is for
// development: whoever reads its file can open every value sealed to its keys.
type KeyRing struct {
	cluster string
	keys    []ringKey // oldest first
	// wrapper is the name of the key that wraps the private keys; empty for a
	// plain ring.
	wrapper string
	// opened are the private keys of a wrapped ring that was unlocked.
	opened *unwrappedKeys
}

// ringKey is a key in one of three forms: plain, wrapped, or without its private
// part because it is retired.
type ringKey struct {
	Key
	private hpke.PrivateKey // nil unless plain
	wrapped *wrappedKey     // nil unless wrapped
}

// public returns the public key, or nil for a retired key.
func (k ringKey) public() hpke.PublicKey {
	if k.wrapped != nil {
		return k.wrapped.public
	}
	return k.private.PublicKey()
}

// NewKeyRing makes a ring with one new write key. cluster is the name that the
// provider's configuration gives the cluster; it may be empty.
func NewKeyRing(cluster string, now time.Time) (*KeyRing, error) {
	if text := wrongCluster(cluster); text != "" {
		return nil, errors.New("the cluster's name " + text)
	}
	return (&KeyRing{cluster: cluster}).Rotate(now)
}

// Rotate returns the ring with a new write key; the previous one becomes a read key.
// The new key is plain: wrap a wrapped ring again before writing it.
func (r *KeyRing) Rotate(now time.Time) (*KeyRing, error) {
	if len(r.keys) >= maxKeys {
		return nil, fmt.Errorf("the key ring has %d keys and can hold no more; start a new one", maxKeys)
	}
	kem, _, _ := hpkeParts()
	private, err := kem.GenerateKey()
	if err != nil {
		return nil, errors.New("a key could not be generated")
	}
	rotated := r.clone()
	for i := range rotated.keys {
		if rotated.keys[i].State == StateWrite {
			rotated.keys[i].State = StateRead
		}
	}
	rotated.keys = append(rotated.keys, ringKey{
		Key:     Key{ID: keyIDOf(private.PublicKey()), State: StateWrite, Created: now.UTC().Truncate(time.Second)},
		private: private,
	})
	return rotated, nil
}

// Retire returns the ring without the private part of a read key: values sealed to
// that key cannot be opened any more. The write key cannot be retired.
func (r *KeyRing) Retire(id KeyID) (*KeyRing, error) {
	i := r.index(id)
	if i < 0 {
		return nil, fmt.Errorf("the key ring has no key %s; it has %s", id, r.list())
	}
	switch r.keys[i].State {
	case StateWrite:
		return nil, fmt.Errorf("key %s is the write key; rotate first, then seal its values again, then retire it", id)
	case StateRetired:
		return nil, fmt.Errorf("key %s is retired already", id)
	case StateRead:
	}
	retired := r.clone()
	retired.keys[i] = ringKey{Key: retired.keys[i].Key}
	retired.keys[i].State = StateRetired
	return retired, nil
}

func (r *KeyRing) clone() *KeyRing {
	return &KeyRing{cluster: r.cluster, keys: slices.Clone(r.keys), wrapper: r.wrapper, opened: r.opened}
}

// Cluster is the name of the cluster that the ring is for; it may be empty.
func (r *KeyRing) Cluster() string { return r.cluster }

// Keys lists the ring's keys, oldest first.
func (r *KeyRing) Keys() []Key {
	keys := make([]Key, len(r.keys))
	for i, key := range r.keys {
		keys[i] = key.Key
	}
	return keys
}

// Public is the public part of the ring's write key.
func (r *KeyRing) Public() *PublicKey {
	i := slices.IndexFunc(r.keys, func(key ringKey) bool { return key.State == StateWrite })
	return &PublicKey{id: r.keys[i].ID, cluster: r.cluster, key: r.keys[i].public()}
}

// Format implements fmt.Formatter and shows no key.
func (r *KeyRing) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "key ring of %d keys", len(r.keys))
}

// private returns the private key of an id. The error wraps ErrUnknownKey,
// ErrRetiredKey or ErrKeyService, or is ctx's.
func (r *KeyRing) private(ctx context.Context, id KeyID) (hpke.PrivateKey, error) {
	i := r.index(id)
	if i < 0 {
		return nil, fmt.Errorf("%w: the value is sealed to key %s, the key ring has %s; seal the value again to this cluster's public key, or add its key to the ring", ErrUnknownKey, id, r.list())
	}
	if r.keys[i].State == StateRetired {
		return nil, fmt.Errorf("%w: the value is sealed to key %s, which was retired; seal the value again to key %s", ErrRetiredKey, id, r.Public().ID())
	}
	if r.keys[i].wrapped == nil {
		return r.keys[i].private, nil
	}
	if r.opened == nil {
		return nil, fmt.Errorf("%w: the key ring's private keys are wrapped by key %s of a key service, which is not named here; name it beside the ring", ErrUnknownKey, r.wrapper)
	}
	return r.opened.private(ctx, r.cluster, r.keys[i])
}

func (r *KeyRing) index(id KeyID) int {
	return slices.IndexFunc(r.keys, func(key ringKey) bool { return key.ID == id })
}

// list names the newest keys for a message.
func (r *KeyRing) list() string {
	keys := slices.Clone(r.keys)
	slices.Reverse(keys)
	return message.Names(keys, func(k ringKey) string { return k.ID.String() })
}
