package vault

import (
	"context"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/vault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
)

// vaultStore is one connection.
type vaultStore struct{ connection *vault.Connection }

// Check implements store.Store.
func (s *vaultStore) Check(ref store.Reference) error {
	_, err := parseReference(ref)
	return err
}

// Read implements store.Store.
func (s *vaultStore) Read(ctx context.Context, as identity.Identity, ref store.Reference) (store.Value, error) {
	q, err := parseReference(ref)
	if err != nil {
		return store.Value{}, err
	}
	resp, made, err := s.connection.Call(ctx, as, vault.Request{
		What: q.where(), Method: q.method, Path: q.key, Params: q.params, Body: q.body,
		// A read that creates a credential is safe to retry: the lost credential's
		// lease ends by itself. A write is not.
		Repeatable: !q.writes(),
	})
	if err != nil {
		return store.Value{}, err
	}
	if !resp.OK() {
		if err := gone(q, resp.Answer); err != nil {
			return store.Value{}, err
		}
		return store.Value{}, refusal(q, s.connection.Who(), resp)
	}
	s.connection.Warn(q.where(), resp)
	value, err := valueOf(q, resp)
	if err != nil {
		return store.Value{}, err
	}
	if value.Lease, err = s.leaseOf(q, resp.Answer, made.Session, as, made.Start); err != nil {
		return store.Value{}, err
	}
	value.Issued = q.writes()
	if value.Lease == nil && value.ChangesAt.IsZero() && !q.writes() {
		value.ChangesAt = rotation(resp.Answer.Data, made.Start)
	}
	return value, nil
}

// RefreshOf implements store.Steady for versions of KV version 2, whose whole answer has
// metadata that may change.
func (*vaultStore) RefreshOf(ref store.Reference) time.Duration {
	if ref.Version == "" || ref.Options["whole"] == true {
		return 0
	}
	return store.PinnedRefresh
}

// Close implements store.Store.
func (s *vaultStore) Close() { s.connection.Close() }
