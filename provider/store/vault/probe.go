package vault

import (
	"context"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// Servers implements store.Prober.
func (s *vaultStore) Servers(context.Context) ([]remote.Server, error) {
	return s.connection.Servers(), nil
}

// Health implements store.HealthChecker.
func (s *vaultStore) Health(ctx context.Context) error { return s.connection.Health(ctx) }

// Login implements store.Prober.
func (s *vaultStore) Login(ctx context.Context, as identity.Identity) error {
	return s.connection.Login(ctx, as)
}

// BindsAudience implements store.AudienceBinder.
func (s *vaultStore) BindsAudience(ctx context.Context, as identity.Identity) (bool, error) {
	return s.connection.BindsAudience(ctx, as)
}
