// Package azure is the store of Azure Key Vault and Managed HSM: secrets, the
// public part of keys, and certificates with their private keys and chains, of
// the current version, a given one, or the last few.
//
// It reads as the pod: with a token of Microsoft Entra ID that the pod's own
// service account token or its own client secret was exchanged for. It never
// reads AZURE_* or proxy variables of its environment, never sends a token to a
// host that the vault's challenge did not name and the settings do not allow,
// and never repeats the body of an answer in an error.
//
// Start with Type and store.Read; authorize.go is how a call gets its token,
// login.go where tokens come from, read.go what an answer becomes. The official
// clients make the calls, without their own credential: their challenge policy
// knows one identity for each client, and fails with a panic on a challenge
// whose authorization has no path (azsecrets v1.5.1).
package azure

import (
	"time"

	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
)

// TypeName is the store's type in classes and configuration files.
const TypeName = "azure-key-vault"

// Options are what a Type is made of.
type Options struct {
	// Tokens gets the pods' service account tokens for workload identity; nil
	// takes those that the driver passed.
	Tokens identity.TokenSource
	// Calls bounds the calls in flight; nil allows 64 at each address.
	Calls *store.Calls
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Type is the kind of store. It holds the connections, which all stores with
// the same addresses and TLS settings share.
type Type struct {
	tokens     identity.TokenSource
	now        func() time.Time
	transports *transports
}

// NewType returns a Type without connections.
func NewType(opts Options) *Type {
	if opts.Tokens == nil {
		opts.Tokens = identity.PodTokens{Now: opts.Now}
	}
	if opts.Calls == nil {
		opts.Calls = store.NewCalls(64)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Type{tokens: opts.Tokens, now: opts.Now, transports: newTransports(opts.Calls)}
}

// Name is "azure-key-vault".
func (*Type) Name() string { return TypeName }

// WorkloadSettings are those with which the vault's own permissions decide what
// the pod may have: the vault, and as which application of which tenant the
// pod's own token or secret is presented. Which identity of the node is used
// has a field of its own that is not among them.
func (*Type) WorkloadSettings() []string {
	return []string{"vault", "hsm", "cloud", "tenantID", "auth.clientID", "auth.clientIDCredential", "auth.clientSecretCredential"}
}

// Open checks the settings, which docs/stores/azure.md lists, and reads the
// certificate file that they name. It makes no call.
func (t *Type) Open(given store.Settings) (store.Store, error) {
	config, problems := parseSettings(given)
	if len(problems) > 0 {
		return nil, problems.err()
	}
	transport, release, err := t.transports.acquire(config)
	if err != nil {
		return nil, err
	}
	opened, err := newStore(config, transport, release, t.tokens, t.now)
	if err != nil {
		release()
		return nil, err
	}
	return opened, nil
}
