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

// keys returns the current keys. If only has names, one of those sealers must have
// signed the value.
func (s *sealedStore) keys(only []string) seal.Keys {
	keys := seal.Keys{Services: s.services, Signatures: s.signatures, Only: only}
	if s.ring != nil {
		keys.Ring = s.ring.current()
	}
	return keys
}

// Check parses the text. It refuses a value that none of the keys can open, or whose
// signature is not trusted for the namespace in its scope (for any namespace, if the
// scope has none). It does not check the scope.
func (s *sealedStore) Check(ref store.Reference) error {
	if ref.Version != "" {
		return fault.Fail(fault.ErrInvalid, errors.New("version: a sealed value has no versions; remove the field"))
	}
	only, err := requiredSealers(ref)
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

// Read opens the value if its scope includes the identity and the object. Each Read
// calls the key service once; the engine's cache keeps polls from repeating it.
//
// It never returns ErrNotFound: an unknown or retired key must not make an optional
// object disappear silently.
func (s *sealedStore) Read(ctx context.Context, as identity.Identity, ref store.Reference) (store.Value, error) {
	if err := ctx.Err(); err != nil {
		return store.Value{}, err
	}
	only, err := requiredSealers(ref)
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
		return store.Value{}, fault.Fail(KindOf(err), err)
	}
	return store.Value{Data: value, Version: version(ref.Key), NotAfter: sealed.Scope().NotAfter}, nil
}

// RefreshOf implements store.Steady for values of key services. Values of a key ring
// cost no call, and a retired key should show soon.
func (s *sealedStore) RefreshOf(ref store.Reference) time.Duration {
	sealed, err := seal.Parse(ref.Key)
	if err != nil || sealed.Suite() != seal.SuiteKeyService {
		return 0
	}
	return s.refresh
}

// Close closes the service keys and forgets what they unwrapped.
func (s *sealedStore) Close() {
	if s.ring != nil {
		s.ring.close()
	}
	for _, service := range s.services {
		service.Close()
	}
}

// KindOf returns the kind of Sealed.Open's error. Wrong scopes and untrusted sealers are
// refusals, key services keep their kind, and the rest needs sealing again and is an
// invalid reference.
func KindOf(err error) error {
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

// version is a short hash of the text. The text is public, so a plain hash is safe.
func version(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
