// Package sealed is the store of sealed values: ciphertexts that stand in the
// class itself, opened with a key ring on the node, or by a key service that is
// asked with the pod's own identity. What a pod may read is what each value's
// scope says of its cluster, namespace, service account and object, and beyond
// that what the key service's policies say.
//
// The package never writes, never keeps a data key, and never returns a value to
// an identity that the value is not sealed for. Start with Type; keys.go is how
// keys of key services are named. Package seal is the format.
package sealed

import (
	"errors"
	"io/fs"
	"time"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/store"
)

// Options are what a Type is made of.
type Options struct {
	// Now tells the time for values that expire; nil means time.Now.
	Now func() time.Time
	// Elsewhere is true where a configuration is checked on another machine than the
	// node that it is for: a key ring that is not there is passed over.
	Elsewhere bool
	// KeyTypes are the kinds of key service that there are.
	KeyTypes []key.Type
}

// Type is the kind of store named "sealed".
type Type struct{ opts Options }

// NewType returns the Type.
func NewType(opts Options) *Type {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Type{opts: opts}
}

// Name is "sealed".
func (*Type) Name() string { return "sealed" }

// WorkloadSettings is empty: keys are the operator's alone.
func (*Type) WorkloadSettings() []string { return nil }

// The default and bound of Refresh. Sealed values never change; another call only
// notices that the right to open them has ended.
const (
	defaultRefresh = time.Hour
	maxRefresh     = 30 * 24 * time.Hour
)

// settings are the fields of a store of this type.
type settings struct {
	// KeyRing is the path of the key ring file on the node.
	KeyRing string `yaml:"keyRing"`
	// Keys are keys of key services.
	Keys []keySettings `yaml:"keys"`
	// Sealers are the trusted signers, and Unsigned the namespaces whose values need
	// no signature.
	Sealers  []sealerSettings `yaml:"sealers"`
	Unsigned []string         `yaml:"unsigned"`
	// Refresh is how often the key service is asked whether the pod may still open a
	// value.
	Refresh time.Duration `yaml:"refresh"`
}

// Open reads the key ring and opens the keys, so that mistakes show at configuration
// and not when a pod starts. It makes no call.
func (t *Type) Open(from store.Settings) (store.Store, error) {
	if !from.ByOperator {
		return nil, fault.Fail(fault.ErrInvalid, strict.Problems{{Field: "keyRing", Text: "classes must not define stores of type sealed: only the operator's configuration names keys; remove the store, and keep the object's sealed field"}})
	}
	s := settings{Refresh: defaultRefresh}
	problems := strict.DecodeMap(from.Fields, &s)
	if s.KeyRing == "" && len(s.Keys) == 0 && !problems.Explain("keys") {
		problems.Add("keyRing", "is missing; give the path of the key ring that lanyard keygen wrote, or in keys the keys of key services")
	}
	if s.Refresh < time.Second || s.Refresh > maxRefresh {
		problems.Add("refresh", "must be between 1s and %s", maxRefresh)
	}
	opened := &sealedStore{now: t.opts.Now, refresh: s.Refresh}
	var wrong strict.Problems
	opened.services, wrong = openKeys(s.Keys, t.opts.KeyTypes, from.Network.Proxy)
	problems = problems.With(wrong)
	// A wrapped ring cannot be checked without its key.
	if s.KeyRing != "" && len(wrong) == 0 {
		ring, err := openRing(s.KeyRing, opened.services)
		if err != nil && !(t.opts.Elsewhere && errors.Is(err, fs.ErrNotExist)) {
			problems.Add("keyRing", "%s", err.Error())
		}
		opened.ring = ring
	}
	var unusable strict.Problems
	opened.signatures, unusable = s.signatures()
	if problems = problems.With(unusable); len(problems) > 0 {
		opened.Close()
		return nil, fault.Fail(fault.ErrInvalid, problems)
	}
	return opened, nil
}
