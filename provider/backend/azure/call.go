package azure

import (
	"context"
	"errors"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// Object is what a call is for, in the words of errors.
type Object interface {
	// String is its path: "secrets/db".
	String() string
	// Noun is its kind: "secret".
	Noun() string
	// OrVersion is " and the version" if a version was asked for.
	OrVersion() string
	// Permission and Role are what the caller needs, in a vault with access
	// policies and in one with roles.
	Permission() string
	Role() string
}

// ClientOptions are those of an official client whose calls Call makes.
func (v *Vault) ClientOptions() azcore.ClientOptions {
	return azcore.ClientOptions{
		APIVersion:       v.config.APIVersion,
		Transport:        v.transport,
		Retry:            policy.RetryOptions{MaxRetries: -1}, // Backoff retries
		Telemetry:        policy.TelemetryOptions{ApplicationID: "lanyard"},
		PerRetryPolicies: []policy.Policy{authorizer{hostPort: v.hostPort}},
	}
}

// Call makes one call for what, as the identity, and again if that may help. do
// makes it with a client of ClientOptions and the context that it is given. A
// token that is refused is replaced once, if it was not new. The error wraps a
// kind of package fault or ctx's.
func (v *Vault) Call(ctx context.Context, as identity.Identity, what Object, do func(context.Context) error) error {
	for renewed := false; ; renewed = true {
		grant, key, who, err := v.token(ctx, as)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		unauthorized := false
		err = v.backoff.Do(ctx, v.host, func(ctx context.Context) remote.Outcome {
			result := v.outcome(ctx, do(withBearer(ctx, grant.Credential)), what, who, grant.Credential)
			unauthorized = errors.Is(result.Err, fault.ErrUnauthenticated)
			return result
		})
		switch {
		case err == nil:
			return nil
		case !unauthorized || renewed || !v.logins.tokens.Forget(key, grant):
			return fmt.Errorf("%s: %w", what, err)
		}
	}
}

// outcome explains what became of a call to the vault.
func (v *Vault) outcome(ctx context.Context, err error, what Object, who string, sent secret.Bytes) remote.Outcome {
	if err == nil {
		return remote.Outcome{}
	}
	if remote.HasKind(err) {
		return remote.Outcome{Err: err}
	}
	r, answered := asRefused(err, v.config.Network.Speaker("Key Vault says", v.dialledHost(), ownDomains()...), sent)
	if !answered {
		failed := unreachable(ctx, v.host, err)
		return remote.Outcome{Err: failed, Retry: errors.Is(failed, fault.ErrUnavailable)}
	}
	return remote.Outcome{Err: r.explain(what, who), Retry: r.mayPass(), After: r.after}
}

// dialledHost is the host that answers for the vault.
func (v *Vault) dialledHost() string {
	if v.config.Endpoint != "" {
		return v.config.Endpoint
	}
	return v.host
}

// Incomplete is the error for an answer that lacks what it must have.
func (v *Vault) Incomplete(what Object) error {
	return fmt.Errorf("%s: %w", what, unreachable(context.Background(), v.host, errors.New("incomplete")))
}
