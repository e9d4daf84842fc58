// Package status is what a process of Lanyard tells of itself to those who run it: the
// facts as JSON at /status, as a page at / and as they change at /events of the admin
// listener. No value, token or ciphertext is ever in them.
//
// Start with Facts; Handler serves them.
package status

import (
	"time"

	"github.com/lanyardhq/lanyard/provider/engine"
)

// Facts are what a process tells of itself: of the parts that it has. Every text is one
// line of bounded length. Fields may be added; a reader skips those that it does not know.
type Facts struct {
	// Program is the subcommand that runs: serve, kms or sync.
	Program string `json:"program"`
	Version string `json:"version"`
	// Node is the node's name, where the process has one.
	Node string `json:"node,omitempty"`
	// Started is when the process started, and Made when the facts were collected.
	Started time.Time `json:"started"`
	Made    time.Time `json:"made"`
	// Problems are what keeps the process as a whole from its work.
	Problems []Problem `json:"problems,omitempty"`
	// Facts are those of a process that reads stores: stores, volumes, leases, cache. Nil,
	// and their fields absent, for the KMS plugin.
	*engine.Facts
	// Ring is the key ring of a KMS plugin; nil for others.
	Ring *Ring `json:"ring,omitempty"`
	// Synced are the objects of the sync controller; nil for others.
	Synced []Synced `json:"synced,omitempty"`
}

// Problem keeps a process from its work.
type Problem struct {
	// Error says what is wrong, and Since when it began.
	Error string    `json:"error"`
	Since time.Time `json:"since"`
}

// The states of a key's service.
const (
	KeyUp      = "up"
	KeyDown    = "down"
	KeyUnasked = "not asked"
)

// Ring is the key ring of a KMS plugin.
type Ring struct {
	// Healthy says that API servers are told that all is well. If they are not, Problem
	// says why.
	Healthy bool   `json:"healthy"`
	Problem string `json:"problem,omitempty"`
	// Stale says that the key is still named though its service does not answer, so that
	// API servers go on with the seed that they have, until Until.
	Stale bool      `json:"stale,omitempty"`
	Until time.Time `json:"until,omitzero"`
	// Named is the key that API servers are told to write with, and KeyID its ID; empty
	// while no key has worked.
	Named string `json:"named,omitempty"`
	KeyID string `json:"keyID,omitempty"`
	// Worked is when the named key last worked.
	Worked time.Time `json:"worked,omitzero"`
	// Next is the key that writes from NextAt on, once it is settled; empty for none.
	Next   string    `json:"next,omitempty"`
	NextAt time.Time `json:"nextAt,omitzero"`
	// Keys are the keys in the order of the ring's file.
	Keys []Key `json:"keys"`
}

// Key is one key of a ring.
type Key struct {
	Name string `json:"name"`
	// Service is the key service's own name for the key.
	Service string `json:"service"`
	// Use is write, read or retired, as the ring's file says.
	Use string `json:"use"`
	// State is KeyUp, KeyDown or KeyUnasked; Since is when an outage began.
	State string    `json:"state"`
	Since time.Time `json:"since,omitzero"`
	// Encrypted and Decrypted are when the key was last used, probes included; a read key
	// that was not used for long may be needed no more.
	Encrypted time.Time `json:"encrypted,omitzero"`
	Decrypted time.Time `json:"decrypted,omitzero"`
	// Calls are the calls of the key service since the start, and Failures those that failed.
	Calls    uint64 `json:"calls"`
	Failures uint64 `json:"failures"`
	// Error is the last failure, which may be over, and LastFailure when it was.
	Error       string    `json:"error,omitempty"`
	LastFailure time.Time `json:"lastFailure,omitzero"`
}

// The states of an object of the sync controller.
const (
	SyncedOK      = "ok"
	SyncedFailed  = "failed"
	SyncedWaiting = "waiting" // it was not tried yet
)

// Synced is an object that asks the sync controller for Secrets.
type Synced struct {
	// Kind is class or secretsync.
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// State is SyncedOK, SyncedFailed or SyncedWaiting, and Since when it began to be so.
	State string    `json:"state"`
	Since time.Time `json:"since,omitzero"`
	// Reason is why it failed in a word, and Error in a line.
	Reason string `json:"reason,omitempty"`
	Error  string `json:"error,omitempty"`
	// Worked is the last time that all was as it should be.
	Worked time.Time `json:"worked,omitzero"`
	// Secrets are those that it has.
	Secrets []SyncedSecret `json:"secrets"`
}

// SyncedSecret is a Secret of an object.
type SyncedSecret struct {
	Name string `json:"name"`
	// Written is when this process last wrote it; zero if another one did.
	Written time.Time `json:"written,omitzero"`
}
