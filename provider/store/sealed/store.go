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

// sealedStore opens sealed values with one key ring.
type sealedStore struct {
	ring *ringFile
	now  func() time.Time
}

// Check parses the text; neither key nor scope is looked at.
func (s *sealedStore) Check(ref store.Reference) error {
	if ref.Version != "" {
		return store.Fail(store.ErrInvalid, errors.New("version: a sealed value has no versions; remove the field"))
	}
	if len(ref.Options) > 0 {
		return store.Fail(store.ErrInvalid, errors.New("options: a sealed value has none; remove the field"))
	}
	if _, err := seal.Parse(ref.Key); err != nil {
		return store.Fail(store.ErrInvalid, err)
	}
	return nil
}

// Read opens the value if it is sealed for the identity and the object.
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
	value, err := sealed.Open(ctx, seal.Keys{Ring: s.ring.current()}, as, ref.Object, s.now())
	if err != nil {
		return store.Value{}, store.Fail(kindOf(err), err)
	}
	return store.Value{Data: value, Version: version(ref.Key), NotAfter: sealed.Scope().NotAfter}, nil
}

// Close does nothing: the store holds no connection.
func (s *sealedStore) Close() {}

// kindOf maps an error of Open: a scope that does not match is a refusal, and
// whatever only sealing again can mend is an invalid reference.
func kindOf(err error) error {
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
