// Package kmsring is the key ring of the KMS plugin: its write key encrypts, its read
// keys decrypt, and a changed ring file replaces the ring without a moment in which
// stored data is unreadable.
//
// A ring is immutable; a changed file makes a new one, which takes over the open
// keys. The package never tries one key after another: the key ID of a ciphertext
// names its key. It keeps no plaintext and no ciphertext.
//
// Start with Parse for one ring, with Load and Watcher for a file, and with
// Ring.Find for what Decrypt needs.
package kmsring

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// The bounds of a ring.
const (
	// maxKeys is the maximum number of keys in a ring, including retired ones.
	maxKeys = 64
	// maxName is the maximum length of a key's name in bytes.
	maxName = 63
	// maxDecrypts is the maximum number of concurrent Decrypt calls of one key.
	maxDecrypts = 64
	// MaxDecrypts is the maximum number of concurrent Decrypt calls of a ring.
	MaxDecrypts = maxKeys * maxDecrypts
	// maxCluster is the maximum length of a cluster's name in bytes.
	maxCluster = 253
)

// State is the permitted use of a key in a ring.
type State string

// The states of a key, in their order over its lifetime. A new key is read first.
const (
	// StateWrite is the one key that encrypts. It decrypts too.
	StateWrite State = "write"
	// StateRead is a key that only decrypts: a former write key, or a future one while
	// it spreads to every plugin of the cluster.
	StateRead State = "read"
	// StateRetired is a key in name only. Data that still needs it fails with an error
	// that names it, and the key can come back.
	StateRetired State = "retired"
)

// Ring is a parsed ring file with open keys. It is safe for concurrent use.
type Ring struct {
	// Settle is how long a key must have been a read key before it encrypts.
	Settle time.Duration
	// Outage is how long API servers may keep writing while the write key's service is
	// unavailable.
	Outage time.Duration

	entries []*Entry // in the file's order
	write   *Entry
	// previous encrypts until switchAt, while the new write key settles; nil after
	// that.
	previous *Entry
	switchAt time.Time
}

// Entry is one key of a ring.
type Entry struct {
	// Name is what the operator calls the key, unique in its ring.
	Name string
	// State says what the key may do.
	State State
	// Epoch distinguishes two entries of one key, for example before and after a leak.
	Epoch uint32
	// Cluster is part of every ciphertext's context unless empty.
	Cluster string

	service string // the key service's name for the key: key.Key.Name
	opened  *opened
	index   int // in the file's list
	// readable is when this process first had the key; zero means from its start.
	readable time.Time
}

// Entries lists the ring's keys in the file's order.
func (r *Ring) Entries() []*Entry { return slices.Clone(r.entries) }

// Write returns the entry that encrypts at a moment. After a change of the ring, that
// is the previous write key until the new one has settled.
func (r *Ring) Write(now time.Time) *Entry {
	if r.previous != nil && now.Before(r.switchAt) {
		return r.previous
	}
	return r.write
}

// Pending returns the next write key and when it starts to encrypt; nil if there is
// none.
func (r *Ring) Pending(now time.Time) (next *Entry, at time.Time) {
	if r.previous != nil && now.Before(r.switchAt) {
		return r.write, r.switchAt
	}
	return nil, time.Time{}
}

// ByName returns the entry with the name; nil if there is none.
func (r *Ring) ByName(name string) *Entry {
	for _, entry := range r.entries {
		if entry.Name == name {
			return entry
		}
	}
	return nil
}

// Same returns this ring's entry of the other's key, whatever its name and state; nil
// if there is none.
func (r *Ring) Same(other *Entry) *Entry {
	if other == nil {
		return nil
	}
	identity := other.identity()
	for _, entry := range r.entries {
		if entry.identity() == identity {
			return entry
		}
	}
	return nil
}

// Close releases the ring's keys. A key closes after its last ring and call.
func (r *Ring) Close() {
	for _, entry := range r.entries {
		entry.opened.release()
	}
}

// String names the keys, for errors: "vault-2026 (write), vault-2025 (read)".
func (r *Ring) String() string {
	return message.Names(r.entries, func(e *Entry) string { return fmt.Sprintf("%s (%s)", e.Name, e.State) })
}

// Service is the key service's own name for the key.
func (e *Entry) Service() string { return e.service }

// Bound returns the context of the entry's ciphertexts: the cluster's name, if any.
func (e *Entry) Bound() key.Context {
	if e.Cluster == "" {
		return nil
	}
	return key.Context{"cluster": e.Cluster, "use": "kubernetes-kms"}
}

// Hold keeps the key open until release, even if the ring closes meanwhile. The ring
// must be open.
func (e *Entry) Hold() (release func()) {
	e.opened.retain()
	return e.opened.release
}

// Slot waits for a slot of the key's Decrypt semaphore, so that a hanging key service
// delays no other key. Encrypt and probes take no slot. The error is ctx's.
func (e *Entry) Slot(ctx context.Context) (release func(), err error) {
	if err := e.opened.decrypts.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	return func() { e.opened.decrypts.Release(1) }, nil
}

// Encrypt encrypts with the node's credentials. The caller holds the entry or its
// ring. The errors are those of key.Key.
func (e *Entry) Encrypt(ctx context.Context, plaintext secret.Bytes) (key.Ciphertext, error) {
	return e.opened.key.Encrypt(ctx, identity.Identity{}, plaintext, e.Bound())
}

// Decrypt decrypts with the node's credentials. The caller holds the entry or its
// ring. The errors are those of key.Key.
func (e *Entry) Decrypt(ctx context.Context, ciphertext key.Ciphertext) (secret.Bytes, error) {
	return e.opened.key.Decrypt(ctx, identity.Identity{}, ciphertext, e.Bound())
}
