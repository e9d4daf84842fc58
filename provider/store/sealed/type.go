// Package sealed is the store of sealed values: ciphertexts that stand in the
// class itself, opened with a key ring on the node. There is nothing to reach
// and nothing to log in to; what a pod may read is what each value's scope says
// of its cluster, namespace, service account and object.
//
// The package never writes, and never returns a value to an identity that the
// value is not sealed for. Start with Type; package seal is the format.
package sealed

import (
	"time"

	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/strict"
)

// Type is the kind of store named "sealed".
type Type struct {
	now func() time.Time
}

// NewType returns the Type. now tells the time for values that expire; nil
// means time.Now.
func NewType(now func() time.Time) *Type {
	if now == nil {
		now = time.Now
	}
	return &Type{now: now}
}

// Name is "sealed".
func (*Type) Name() string { return "sealed" }

// WorkloadSettings is empty: the key ring is the operator's alone.
func (*Type) WorkloadSettings() []string { return nil }

// settings are the fields of a store of this type.
type settings struct {
	// KeyRing is the path of the key ring file on the node.
	KeyRing string `yaml:"keyRing"`
}

// Open reads the key ring once, so that a wrong one is known when it is
// configured and not when a pod starts.
func (t *Type) Open(from store.Settings) (store.Store, error) {
	if !from.ByOperator {
		return nil, wrongKeyRing("a store of type sealed reads the node's key ring, which only the operator's configuration file may name; leave the store out of the class and write the object's sealed field alone")
	}
	var s settings
	if err := strict.DecodeMap(from.Fields, &s); err != nil {
		return nil, store.Fail(store.ErrInvalid, err)
	}
	if s.KeyRing == "" {
		return nil, wrongKeyRing("is missing; give the path of the key ring that lanyard keygen wrote")
	}
	ring, err := openRing(s.KeyRing)
	if err != nil {
		return nil, wrongKeyRing(err.Error())
	}
	return &sealedStore{ring: ring, now: t.now}, nil
}

func wrongKeyRing(text string) error {
	return store.Fail(store.ErrInvalid, strict.Problems{{Field: "keyRing", Text: text}})
}
