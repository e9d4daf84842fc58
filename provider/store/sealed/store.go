package sealed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/store"
)

// sealedStore opens sealed values with a key ring, with key services, or both.
type sealedStore struct {
	ring     *ringFile // nil if there is none
	services []*seal.ServiceKey
	refresh  time.Duration
	now      func() time.Time
}

// keys are those of now.
func (s *sealedStore) keys() seal.Keys {
	keys := seal.Keys{Services: s.services}
	if s.ring != nil {
		keys.Ring = s.ring.current()
	}
	return keys
}

// Check parses the text, and refuses one that no key of the store's can open;
// the scope is not looked at.
func (s *sealedStore) Check(ref store.Reference) error {
	if ref.Version != "" {
		return store.Fail(store.ErrInvalid, errors.New("version: a sealed value has no versions; remove the field"))
	}
	if len(ref.Options) > 0 {
		return store.Fail(store.ErrInvalid, errors.New("options: a sealed value has none; remove the field"))
	}
	sealed, err := seal.Parse(ref.Key)
	if err == nil {
		err = s.keys().Check(sealed)
	}
	if err != nil {
		return store.Fail(store.ErrInvalid, err)
	}
	return nil
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
	sealed, err := seal.Parse(ref.Key)
	if err != nil {
		return store.Value{}, store.Fail(store.ErrInvalid, err)
	}
	value, err := sealed.Open(ctx, s.keys(), as, ref.Object, s.now())
	if ended := ctx.Err(); err != nil && ended != nil && errors.Is(err, ended) {
		return store.Value{}, err
	}
	if err != nil {
		return store.Value{}, store.Fail(kindOf(err), err)
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

// Close closes the keys of key services.
func (s *sealedStore) Close() {
	for _, service := range s.services {
		service.Close()
	}
}

// kindOf maps an error of Open: a scope that does not match is a refusal, what a
// key service says keeps its kind, and whatever only sealing again can mend is
// an invalid reference.
func kindOf(err error) error {
	if errors.Is(err, seal.ErrKeyService) {
		for _, kind := range []error{store.ErrUnavailable, store.ErrDenied, store.ErrUnauthenticated} {
			if errors.Is(err, kind) {
				return kind
			}
		}
	}
	for _, scope := range []error{seal.ErrOtherCluster, seal.ErrOtherNamespace, seal.ErrOtherServiceAccount, seal.ErrOtherObject, seal.ErrExpired} {
		if errors.Is(err, scope) {
			return store.ErrDenied
		}
	}
	return store.ErrInvalid
}

// version is a short hash of the text. The text is public, so a plain hash of
// it tells nothing about the value.
func version(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
