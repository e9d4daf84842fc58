package gcp

import (
	"context"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
)

// Servers implements store.Prober.
func (s *gcpStore) Servers(context.Context) ([]remote.Server, error) {
	at := s.config.at(secretManager, s.config.Location)
	return append([]remote.Server{s.link.Server(at.setting, at.endpoint, at.network)}, s.login.Servers()...), nil
}

// Login implements store.Prober.
func (s *gcpStore) Login(ctx context.Context, as identity.Identity) error {
	return s.login.Check(ctx, as)
}

// Audiences implements store.TokenTaker.
func (*Type) Audiences(given store.Settings) []string {
	config, _ := parseSettings(given)
	if config == nil {
		return nil
	}
	return config.Auth.Audiences()
}
