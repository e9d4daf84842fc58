package store

import (
	"context"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// TokenTaker is a Type whose stores may log in with tokens of pods.
type TokenTaker interface {
	Type

	// Audiences are those of the tokens that a store with these settings logs in with;
	// none if it logs in with something else, or if only the cluster knows. The settings
	// may lack what classes give, or be wrong; Open tells of that.
	Audiences(settings Settings) []string
}

// Prober is a Store that can be looked at without reading a secret: the way to its
// servers, and whether they let an identity in.
type Prober interface {
	Store

	// Servers are those that reads and logins pass through, as far as they are known
	// before one is made. It makes no call to them.
	Servers(ctx context.Context) ([]remote.Server, error)
	// Login logs the identity in, unless it is.
	Login(ctx context.Context, as identity.Identity) error
}

// HealthChecker is a Prober whose server reports its health without a login.
type HealthChecker interface {
	Prober
	// Health is why the server does not work: nil if it works, or does not say.
	Health(ctx context.Context) error
}

// AudienceBinder is a Prober whose server keeps, for each login, which audiences a token
// may have, and may take any.
type AudienceBinder interface {
	Prober
	// BindsAudience says whether tokens of other audiences are refused. The error is why
	// that is not known. The identity can log in.
	BindsAudience(ctx context.Context, as identity.Identity) (bool, error)
}
