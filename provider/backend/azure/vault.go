// Package azure is what the store and the key service of Azure Key Vault and
// Managed HSM have in common: which vault, as whom, over which connection, and
// what a failure means. It knows nothing of secrets, keys and certificates.
//
// A token of Microsoft Entra ID is had for the pod's own service account token
// or client secret, or from the machine's metadata service for the node. The
// package reads no variables of its environment; Microsoft's clients read one
// for a regional endpoint of Entra ID and one for their log. It never sends a
// token to a host that the vault's challenge did not name and the settings do
// not allow, and never repeats the body of an answer in an error.
//
// Start with Pool.Connect and Vault.Call; authorize.go is how a call gets its
// token, login.go where tokens come from. The official clients make the calls,
// without their own credential: their challenge policy knows one identity for
// each client, and fails with a panic on a challenge whose authorization has no
// path (azsecrets v1.5.1).
package azure

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/lanyardhq/lanyard/provider/backend/credential"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// The mean of the first pause before a retry, and the longest.
// https://learn.microsoft.com/azure/key-vault/general/overview-throttling#recommended-client-side-throttling-method
const (
	firstPause = 200 * time.Millisecond
	maxPause   = 20 * time.Second
)

// Options are what a Pool is made of.
type Options struct {
	// Observed is what calls are counted under: the name of the type of store
	// or key service.
	Observed string
	// Tokens gets the pods' service account tokens for workload identity; nil
	// takes those that the driver passed.
	Tokens identity.TokenSource
	// Calls bounds the calls in flight; nil allows 64 at each address.
	Calls *remote.Calls
	// Person is who runs a command, for settings that say AsPerson; nil where
	// pods are served.
	Person *Person
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Person is who runs a command.
type Person struct {
	// Credential gets the person's access tokens.
	Credential azcore.TokenCredential
}

// Pool holds the connections, which all who connect to one address with the
// same TLS settings share, and the tokens, which all with the same TLS settings
// share. It is safe for concurrent use.
type Pool struct {
	tokens     identity.TokenSource
	person     *Person
	now        func() time.Time
	observed   string
	transports *remote.Transports

	logins *remote.Shared[remote.Route, *logins]
}

// NewPool returns a Pool without connections.
func NewPool(opts Options) *Pool {
	if opts.Tokens == nil {
		opts.Tokens = identity.PodTokens{Now: opts.Now}
	}
	if opts.Calls == nil {
		opts.Calls = remote.NewCalls(64)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	p := &Pool{tokens: opts.Tokens, person: opts.Person, now: opts.Now, observed: opts.Observed, transports: remote.NewTransports(remote.Options{Calls: opts.Calls, MaxAnswer: maxAnswerBytes, Person: opts.Person != nil})}
	p.logins = remote.NewShared(p.openLogins, (*logins).close)
	return p
}

// Connect returns the vault of settings that have passed Check, and reads the
// certificate file that they name. It makes no call. The error wraps
// fault.ErrInvalid.
func (p *Pool) Connect(config *Settings) (*Vault, error) {
	address, err := url.Parse(config.Address)
	if err != nil {
		return nil, fault.Failf(fault.ErrInvalid, "address: is not a URL")
	}
	transport, release, err := p.transports.Acquire(config.route())
	if err != nil {
		return nil, err
	}
	logins, releaseLogins, err := p.logins.Acquire(remote.Route{TLS: config.TLS, Network: config.LoginNetwork})
	if err != nil {
		release()
		return nil, err
	}
	return &Vault{
		config: config, hostPort: remote.HostPort(address), podTokens: p.tokens, person: p.person, now: p.now, transport: transporter{transport.Client(p.observed)},
		logins: logins, release: func() { releaseLogins(); release() },
		host:       address.Host,
		backoff:    remote.Backoff{Timeout: config.Timeout, Retries: config.Retries, First: firstPause, Max: maxPause},
		challenges: credential.New[challenge](credential.Options{Now: p.now}),
	}, nil
}

// Vault is a Key Vault or a Managed HSM as one connection's settings name it.
// It is safe for concurrent use.
type Vault struct {
	config    *Settings
	hostPort  string // that the config's address dials
	podTokens identity.TokenSource
	person    *Person // for methodPerson
	now       func() time.Time
	transport transporter
	logins    *logins
	release   func()         // of the transport and the logins
	host      string         // of the address, with its port
	backoff   remote.Backoff // for the calls of all services

	challenges *credential.Cache[challenge]
}

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

// Address is the vault's URL.
func (v *Vault) Address() string { return v.config.Address }

// UsesNode is true if the node's identity makes the calls, and not the pod's own.
func (v *Vault) UsesNode() bool { return v.config.Auth.UsesNode() }

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
		grant, key, err := v.token(ctx, as)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		unauthorized := false
		err = v.backoff.Do(ctx, v.host, func(ctx context.Context) remote.Outcome {
			result := v.outcome(ctx, do(withBearer(ctx, grant.Credential)), what, grant.Credential)
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
func (v *Vault) outcome(ctx context.Context, err error, what Object, sent secret.Bytes) remote.Outcome {
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
	return remote.Outcome{Err: r.explain(what, v.who()), Retry: passes(r.status), After: r.after}
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

// Close releases the connection, and ends the logins under way if nobody else may
// use them. No call runs during or after it.
func (v *Vault) Close() {
	v.challenges.Close()
	v.release()
}
