// Package vault is the store of HashiCorp Vault and of what speaks its API,
// such as OpenBao. It reads any path that an identity's policies let it read:
// KV of both versions, certificates, signatures, one-time codes, and the
// credentials that dynamic engines make, whose leases it renews.
//
// Start with Type and store.Read; value.go is what an answer becomes. How it
// connects, logs in and calls is package backend/vault's.
package vault

import (
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/backend/vault"
	"github.com/lanyardhq/lanyard/provider/store"
)

// Options are what a Type is made of. Observed is always "vault".
type Options = vault.Options

// Type is the kind of store. It holds the connections to every address, which
// all stores with the same address and TLS settings share.
type Type struct{ pool *vault.Pool }

// NewType returns a Type without connections.
func NewType(opts Options) *Type {
	opts.Observed = "vault"
	return &Type{pool: vault.NewPool(opts)}
}

// Name is "vault".
func (t *Type) Name() string { return "vault" }

// WorkloadSettings are the settings that Vault checks against the pod: namespace,
// role and token audience. The role of the cert method is a different field, because
// there the node's certificate logs in.
func (t *Type) WorkloadSettings() []string {
	return []string{"namespace", "auth.role", "auth.audience"}
}

// ReadsAsNode implements store.NodeReader.
func (t *Type) ReadsAsNode(given store.Settings) bool {
	settings := vault.DefaultSettings()
	remote.Decode(given.Fields, &settings) // Open tells what cannot be read
	return settings.Auth.UsesNode()
}

// NodeSettings implements store.NodeReader. It is empty: with the node's token, a
// role or namespace would be a right that the pod may not have.
func (t *Type) NodeSettings() []string { return nil }

// Audiences implements store.TokenTaker.
func (t *Type) Audiences(given store.Settings) []string {
	settings := vault.DefaultSettings()
	remote.Decode(given.Fields, &settings) // Open tells what cannot be read
	return settings.Auth.Audiences()
}

// Open checks the settings, which docs/stores/vault.md lists, and reads the
// certificate files that they name. It makes no call.
func (t *Type) Open(given store.Settings) (store.Store, error) {
	settings := vault.DefaultSettings()
	problems := remote.Decode(given.Fields, &settings)
	settings.Network = given.Reach("address")
	settings.Check(given.ByOperator, &problems)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	connection, err := t.pool.Connect(&settings)
	if err != nil {
		return nil, err
	}
	return &vaultStore{connection: connection}, nil
}
