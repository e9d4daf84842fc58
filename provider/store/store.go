// Package store defines what a store of values is to the engine. Every kind of
// store (vault, file, sealed, ...) is a package below this one that provides a
// Type and passes the contract test in storetest; nothing here or below knows
// of front doors, files or caches.
//
// To add a store: implement Type and Store, run storetest.Run against it, and
// register the Type with the engine in cmd.
package store

import (
	"context"
	"slices"
	"time"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// Type is a kind of store. The engine has one of each for its whole life, so a
// Type is where connections to one address are pooled for all classes. It is
// safe for concurrent use.
type Type interface {
	// Name is the type's name in configuration files and classes.
	Name() string

	// WorkloadSettings lists the settings, as dotted field names, that a class
	// may give for a store that the operator's configuration names, where the
	// operator left them out. Every other setting of such a store is the
	// operator's alone.
	WorkloadSettings() []string

	// Open checks the settings and returns a store with that connection. It
	// makes no remote call. The error wraps ErrInvalid and reports every wrong
	// setting, by its field name.
	Open(settings Settings) (Store, error)
}

// Settings are the connection of one store, as configured.
type Settings struct {
	// Fields are the settings by name, without "type".
	Fields map[string]any
	// ByOperator is true if the store is named in the operator's
	// configuration. Only then may it use credentials or files of the node.
	ByOperator bool
	// FromClass are the dotted names of the settings of such a store in which a
	// class's value holds.
	FromClass []string `json:",omitempty"`
	// Network is how connections leave the node. Its rule holds for the addresses
	// that a class chose; see Reach.
	Network remote.Network
}

// Reach is the Network of an address that the settings of these dotted names lead
// to: without the rule if they are all the operator's.
func (s Settings) Reach(settings ...string) remote.Network {
	if s.ByOperator && !slices.ContainsFunc(settings, func(name string) bool { return slices.Contains(s.FromClass, name) }) {
		return remote.Network{Proxy: s.Network.Proxy}
	}
	return s.Network
}

// ReachNode is the Network of a service of the node's own, such as a cloud's metadata
// service: directly, and without the rule unless a class chose the address.
func (s Settings) ReachNode(setting string) remote.Network {
	if !slices.Contains(s.FromClass, setting) {
		return remote.Network{}
	}
	return s.Network.Node()
}

// Reference names one secret in a store.
type Reference struct {
	// Key is the store's own name for the secret. For a sealed value it is
	// the ciphertext's text.
	Key string
	// Version is the store's own name for one version; empty means the current.
	Version string
	// Object is the name of the object that the value is for. A sealed value
	// is bound to it; other stores ignore it.
	Object string
	// Options are what only one store knows, as they stand in the class.
	Options map[string]any
}

// Store reads values from one place. It is safe for concurrent use.
type Store interface {
	// Check says without a remote call whether the reference can be read at
	// all: the key's form, the version's form and the options. The error wraps
	// ErrInvalid and names the wrong field.
	Check(ref Reference) error

	// Read returns the value that ref names, read as the identity and never
	// with another identity's login. ref has passed Check. It makes at most one
	// remote call at a time, gives up when ctx ends, and shares one login among
	// all who read as identities with one Key. An error wraps one of the kinds
	// above, or ctx.Err.
	Read(ctx context.Context, as identity.Identity, ref Reference) (Value, error)

	// Close releases what the store holds. No Read runs during or after it.
	Close()
}

// Value is what a store holds under a reference.
type Value struct {
	// Data is the value. What a store holds as fields is a JSON object.
	Data secret.Bytes
	// Version is the store's own version of the value, different whenever the
	// value is, and safe to publish; empty if the store has none.
	Version string
	// NotAfter is the last moment at which the value may be served from
	// memory, whatever the operator allows; zero if it has none. It is for
	// values that are refused, not replaced, when their time is over.
	NotAfter time.Time
	// ChangesAt is when the store will replace the value, as it tells beforehand;
	// zero if it does not. The value is read again then, though it is still within
	// its refresh interval.
	ChangesAt time.Time
	// Issued says that the read made the value, so that reading again makes another
	// and may end this one. It is then read again for its refresh interval alone, and
	// not for a pod that starts. A value with a lease is always taken for one.
	Issued bool
	// Order is the number of the value's version, for a reference to the current
	// one at a store that counts the versions of a secret upwards; zero for others.
	// It tells the answer of a replica that lags behind. Made is when that version
	// was made, and tells a secret that was made anew from that; zero if the store
	// does not say.
	Order int64
	Made  time.Time
	// Lease is the value's right to work, if it ends or must be renewed. A
	// value with a lease belongs to the one pod that it was read for.
	Lease *Lease
}

// Lease is how long a value works: a dynamic credential, a certificate.
type Lease struct {
	// Duration is how long the value works from its issue or last renewal.
	Duration time.Duration
	// Expires is when the value stops working.
	Expires time.Time
	// Renew extends the lease and returns it with the new times, which may be
	// less than asked for when the store's maximum is near. It is nil if the
	// value cannot be renewed, only replaced by reading it again. An error that
	// wraps ErrUnavailable may be tried again; any other is final.
	Renew func(ctx context.Context) (*Lease, error)
}

// BatchReader is a Store that can read several secrets with one remote call.
type BatchReader interface {
	Store

	// BatchSize is how many references like ref one ReadBatch takes as the
	// identity: one if ref can only be read alone, or if the identity was found
	// to have no right to batches. It makes no call. ref has passed Check.
	BatchSize(as identity.Identity, ref Reference) int

	// ReadBatch reads what each of refs names, as Read does, and returns a
	// Result for each in their order. There are at most as many as BatchSize
	// says for each of them, and no two are equal. It makes one remote call
	// where the store lets it; a reference that fails does not fail the others.
	ReadBatch(ctx context.Context, as identity.Identity, refs []Reference) []Result
}

// Result is what became of one reference of a batch: a value or an error, with
// the meaning that they have for Read.
type Result struct {
	Value Value
	Err   error
}

// Steady is a Store some of whose references name a value that never changes, so
// that only the right to read it can end.
type Steady interface {
	Store
	// RefreshOf is how old the value may be before it is read again, where
	// neither object nor class says it, if that is longer than what the operator
	// says of all values; zero if the value may change. ref has passed Check.
	RefreshOf(ref Reference) time.Duration
}

// PinnedRefresh is how old the value of a version may be that is named by its number or ID:
// what it holds never changes, but the right to read it may end, and a secret that was
// deleted and made again counts its versions anew.
const PinnedRefresh = time.Hour

// ClusterReader is a Store that looks up in the cluster's objects what its settings leave
// out, which only policy.readObjects allows.
type ClusterReader interface {
	Store
	// LooksUp has a problem for each setting that nobody gave and that a read would
	// therefore look up, which says what to give. Without the policy no read can
	// succeed.
	LooksUp() strict.Problems
}

// FailoverChecker is a Store that may read from a second place while the first is
// unavailable.
type FailoverChecker interface {
	Store
	// ChecksFailover says whether there is a second place that is to be looked at now and
	// then for what ref names. It makes no call. ref has passed Check.
	ChecksFailover(ref Reference) bool
	// CheckFailover says whether the identity may read there what ref names: nil if it
	// may. The value is dropped. ChecksFailover is true of ref, and ref was read.
	CheckFailover(ctx context.Context, as identity.Identity, ref Reference) error
}

// NodeReader is a Type whose stores can read with the node's own files or
// credentials instead of the pod's identity. The engine lets only those pods use
// such a store that the operator names.
type NodeReader interface {
	Type

	// ReadsAsNode is true if a store with these settings does so. They may lack
	// what classes give, or be wrong; Open tells of that.
	ReadsAsNode(settings Settings) bool

	// NodeSettings lists the settings that a class may give for such a store:
	// of WorkloadSettings, and of what the operator lists under override, those
	// that are safe where nothing of the pod's own decides what it may have. A
	// role is not: the node's credentials are good for all that it may use.
	NodeSettings() []string
}
