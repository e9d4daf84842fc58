// Package kmsring is the key ring of the KMS plugin: which key of which key
// service encrypts, which others still decrypt, and how the one ring becomes
// the next without a moment in which what was written cannot be read.
//
// A ring does not change; a changed file makes a new one, which takes over the
// open keys of the ring before. The package never tries one key after another:
// a ciphertext belongs to the one key that its key ID names, or to none. It
// keeps no plaintext and no ciphertext.
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
	// maxKeys is the most keys in a ring, retired ones included.
	maxKeys = 64
	// maxName is the longest name of a key in bytes.
	maxName = 63
	// maxDecrypts is the most Decrypts of one key that are in flight at one time.
	maxDecrypts = 64
	// MaxDecrypts is the most Decrypts of all keys of a ring that are in flight
	// at one time.
	MaxDecrypts = maxKeys * maxDecrypts
	// maxCluster is the longest name of a cluster in bytes.
	maxCluster = 253
)

// State says what a key of a ring may still do.
type State string

// The states of a key, in the order in which a key passes through them, once
// it has been in the ring to read for a while.
const (
	// StateWrite is the one key that encrypts. It decrypts too.
	StateWrite State = "write"
	// StateRead is a key that decrypts: one that was the write key, or one that
	// is to become it when every plugin of the cluster has it.
	StateRead State = "read"
	// StateRetired is a key that does nothing. It is in the ring so that what
	// still needs it is told so, and so that it can come back.
	StateRetired State = "retired"
)

// Ring is what one ring file says, with its keys open. It is safe for
// concurrent use.
type Ring struct {
	// Settle is how long a key must have been in the ring to read before it
	// encrypts.
	Settle time.Duration
	// Outage is how long API servers may go on writing while the write key's
	// service is unavailable.
	Outage time.Duration

	entries []*Entry // in the file's order
	write   *Entry
	// previous encrypts until switchAt, while the other plugins of the cluster
	// get to know write; nil if there is nothing to wait for.
	previous *Entry
	switchAt time.Time
}

// Entry is one key of a ring.
type Entry struct {
	// Name is what the operator calls the key, unique in its ring.
	Name string
	// State says what the key may do.
	State State
	// Epoch sets two entries of one key apart, such as before and after a leak.
	Epoch uint32
	// Cluster is bound to every ciphertext; empty binds nothing.
	Cluster string

	service string // the key service's name for the key: key.Key.Name
	opened  *opened
	index   int // in the file's list
	// readable is since when this process can read with the key; zero if it
	// always could.
	readable time.Time
}

// Entries lists the ring's keys in the file's order.
func (r *Ring) Entries() []*Entry { return slices.Clone(r.entries) }

// Write is the entry that encrypts at a moment. After a change of the ring
// that is the one before until the new one has settled.
func (r *Ring) Write(now time.Time) *Entry {
	if r.previous != nil && now.Before(r.switchAt) {
		return r.previous
	}
	return r.write
}

// waits is the entry that will encrypt next, and when; nil if none waits.
func (r *Ring) waits(now time.Time) (next *Entry, at time.Time) {
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

// Same is the entry of this ring that is the other's key under whatever name
// and state; nil if there is none.
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

// Close gives the ring's keys back. A key is closed when nobody holds it and no
// other ring has it.
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

// Bound is what the entry's ciphertexts are bound to: nothing unless the
// operator has named the cluster.
func (e *Entry) Bound() key.Context {
	if e.Cluster == "" {
		return nil
	}
	return key.Context{"cluster": e.Cluster, "use": "kubernetes-kms"}
}

// Hold keeps the key open until release is called, though the ring be closed
// meanwhile. The ring must not be closed yet.
func (e *Entry) Hold() (release func()) {
	e.opened.retain()
	return e.opened.release
}

// Slot waits until a Decrypt for a request may begin, of which each key has a
// bounded number in flight: a key service that hangs keeps no other key waiting,
// and no Encrypt and no probe either, which take no slot. The error is ctx's.
func (e *Entry) Slot(ctx context.Context) (release func(), err error) {
	if err := e.opened.decrypts.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	return func() { e.opened.decrypts.Release(1) }, nil
}

// Encrypt encrypts with the node's own credentials, for who holds the entry or
// its ring. The errors are those of key.Key.
func (e *Entry) Encrypt(ctx context.Context, plaintext secret.Bytes) (key.Ciphertext, error) {
	return e.opened.key.Encrypt(ctx, identity.Identity{}, plaintext, e.Bound())
}

// Decrypt decrypts with the node's own credentials, for who holds the entry or
// its ring. The errors are those of key.Key.
func (e *Entry) Decrypt(ctx context.Context, ciphertext key.Ciphertext) (secret.Bytes, error) {
	return e.opened.key.Decrypt(ctx, identity.Identity{}, ciphertext, e.Bound())
}
