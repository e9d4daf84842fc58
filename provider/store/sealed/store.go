package sealed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/store"
)

// sealedStore opens sealed values with a key ring, with key services, or both.
type sealedStore struct {
	ring     *ringFile // nil if there is none
	services []*seal.ServiceKey
	// signatures are those that are demanded; nil if none are.
	signatures *seal.Signatures
	refresh    time.Duration
	now        func() time.Time
}

// keys are those of now, for a value that must be signed by one of the sealers,
// if any are named.
func (s *sealedStore) keys(only []string) seal.Keys {
	keys := seal.Keys{Services: s.services, Signatures: s.signatures, Only: only}
	if s.ring != nil {
		keys.Ring = s.ring.current()
	}
	return keys
}

// Check parses the text, and refuses one that no key of the store's can open, or
// whose signature is not one of a sealer who is trusted for the namespace that the
// value is sealed for, or for none at all if that is any. The scope itself is not
// looked at.
func (s *sealedStore) Check(ref store.Reference) error {
	if ref.Version != "" {
		return fault.Fail(fault.ErrInvalid, errors.New("version: a sealed value has no versions; remove the field"))
	}
	only, err := wanted(ref)
	if err != nil {
		return fault.Fail(fault.ErrInvalid, err)
	}
	sealed, err := seal.Parse(ref.Key)
	if err == nil {
		err = s.checkSignature(sealed, only)
	}
	if err == nil {
		err = s.keys(nil).Check(sealed)
	}
	if err != nil {
		return fault.Fail(fault.ErrInvalid, err)
	}
	return nil
}

func (s *sealedStore) checkSignature(sealed *seal.Sealed, only []string) error {
	if namespace := sealed.Scope().Namespace; !namespace.IsAny() {
		return s.signatures.Check(sealed, namespace.String(), only)
	}
	return s.signatures.CheckAnywhere(sealed, only)
}

// Read opens the value if it is sealed for the identity and the object. A key
// service is asked once for each Read: what keeps a poll from asking it again is
// the engine's cache of values.
//
// There is no ErrNotFound: a value that stands in the class is there, and an
// unknown or retired key must not make an optional object vanish in silence.
func (s *sealedStore) Read(ctx context.Context, as identity.Identity, ref store.Reference) (store.Value, error) {
	if err := ctx.Err(); err != nil {
		return store.Value{}, err
	}
	only, err := wanted(ref)
	if err != nil {
		return store.Value{}, fault.Fail(fault.ErrInvalid, err)
	}
	sealed, err := seal.Parse(ref.Key)
	if err != nil {
		return store.Value{}, fault.Fail(fault.ErrInvalid, err)
	}
	value, err := sealed.Open(ctx, s.keys(only), as, ref.Object, s.now())
	if ended := ctx.Err(); err != nil && ended != nil && errors.Is(err, ended) {
		return store.Value{}, err
	}
	if err != nil {
		return store.Value{}, fault.Fail(kindOf(err), err)
	}
	return store.Value{Data: value, Version: version(ref.Key), NotAfter: sealed.Scope().NotAfter}, nil
}

// RefreshOf implements store.Steady for the values of key services. A key ring is
// at hand, and a key that is retired there should be noticed soon.
func (s *sealedStore) RefreshOf(ref store.Reference) time.Duration {
	sealed, err := seal.Parse(ref.Key)
	if err != nil || sealed.Suite() != seal.SuiteKeyService {
		return 0
	}
	return s.refresh
}

// Close closes the keys of key services, and forgets what they unwrapped.
func (s *sealedStore) Close() {
	if s.ring != nil {
		s.ring.close()
	}
	for _, service := range s.services {
		service.Close()
	}
}

// kindOf maps an error of Open: a scope that does not match and a sealer who is not
// trusted are refusals, what a key service says keeps its kind, and whatever only sealing again can mend is
// an invalid reference.
func kindOf(err error) error {
	if errors.Is(err, seal.ErrKeyService) {
		for _, kind := range []error{fault.ErrUnavailable, fault.ErrDenied, fault.ErrUnauthenticated} {
			if errors.Is(err, kind) {
				return kind
			}
		}
	}
	for _, refusal := range []error{
		seal.ErrOtherCluster, seal.ErrOtherNamespace, seal.ErrOtherServiceAccount, seal.ErrOtherObject, seal.ErrExpired,
		seal.ErrUnsigned, seal.ErrUnknownSealer,
	} {
		if errors.Is(err, refusal) {
			return fault.ErrDenied
		}
	}
	return fault.ErrInvalid
}

// version is a short hash of the text. The text is public, so a plain hash of
// it tells nothing about the value.
func version(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
