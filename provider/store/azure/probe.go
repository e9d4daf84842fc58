package azure

import (
	"context"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// Servers implements store.Prober.
func (s *azureStore) Servers(context.Context) ([]remote.Server, error) { return s.vault.Servers(), nil }

// Login implements store.Prober.
func (s *azureStore) Login(ctx context.Context, as identity.Identity) error {
	return s.vault.Login(ctx, as)
}
