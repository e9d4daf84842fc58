// Package vault is the store of HashiCorp Vault and of what speaks its API,
// such as OpenBao. It reads any path that an identity's policies let it read:
// KV of both versions, certificates, signatures, one-time codes, and the
// credentials that dynamic engines make, whose leases it renews.
//
// It never reads VAULT_* or proxy variables of its environment, never lets one
// identity use another's login, and never repeats a token in an error.
//
// Start with Type and store.Read; sessions.go is how logins are shared and
// replaced, value.go what an answer becomes. The client of
// github.com/hashicorp/vault/api is not used, only its requests and names:
// api.NewClient reads the environment whatever configuration it is given,
// repeats writes that may have been carried out, and reads answers of any size.
package vault

import (
	"time"

	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
)

// Options are what a Type is made of.
type Options struct {
	// Tokens gets the pods' service account tokens for the kubernetes and jwt
	// methods; nil takes those that the driver passed.
	Tokens identity.TokenSource
	// Calls bounds the calls in flight; nil allows 64 at each address.
	Calls *store.Calls
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Type is the kind of store. It holds the connections to every address, which
// all stores with the same address and TLS settings share.
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

// Name is "vault".
func (t *Type) Name() string { return "vault" }

// WorkloadSettings are those with which Vault itself decides what the pod may
// have: its namespace, its role, and the audience of the token that it sends.
// The role of the cert method has a field of its own that is not among them,
// because there the node's certificate is what logs in.
func (t *Type) WorkloadSettings() []string {
	return []string{"namespace", "auth.role", "auth.audience"}
}

// Open checks the settings, which docs/stores/vault.md lists, and reads the
// certificate files that they name. It makes no call.
func (t *Type) Open(settings store.Settings) (store.Store, error) {
	config, problems := parseSettings(settings)
	if len(problems) > 0 {
		return nil, problems.err()
	}
	transport, release, err := t.transports.acquire(config)
	if err != nil {
		return nil, err
	}
	client, err := newClient(config, transport)
	if err != nil {
		release()
		return nil, fail(store.ErrInvalid, "address: is not a URL")
	}
	return newStore(config, client, release, t.tokens, t.now), nil
}
