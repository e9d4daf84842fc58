// Package azure is the store of Azure Key Vault and Managed HSM: secrets, the
// public part of keys, and certificates with their private keys and chains, of
// the current version, a given one, or the last few.
//
// Start with Type and store.Read; read.go is what an answer becomes. How it
// connects, logs in and calls is package azure's beside the stores.
package azure

import (
	"github.com/lanyardhq/lanyard/provider/backend/azure"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/store"
)

// TypeName is the store's type in classes and configuration files.
const TypeName = "azure-key-vault"

// Options are what a Type is made of. Observed is always TypeName.
type Options = azure.Options

// Type is the kind of store. It holds the connections, which all stores with
// the same addresses and TLS settings share.
type Type struct{ pool *azure.Pool }

// NewType returns a Type without connections.
func NewType(opts Options) *Type {
	opts.Observed = TypeName
	return &Type{pool: azure.NewPool(opts)}
}

// Name is "azure-key-vault".
func (*Type) Name() string { return TypeName }

// WorkloadSettings are those with which the vault's own permissions decide what
// the pod may have: the vault, and as which application of which tenant the
// pod's own token or secret is presented. Which identity of the node is used
// has a field of its own that is not among them.
func (*Type) WorkloadSettings() []string {
	return []string{"vault", "hsm", "cloud", "tenantID", "auth.clientID", "auth.identityBinding", "auth.clientIDCredential", "auth.clientSecretCredential"}
}

// ReadsAsNode implements store.NodeReader.
func (*Type) ReadsAsNode(given store.Settings) bool {
	settings := azure.DefaultSettings()
	remote.Decode(given.Fields, &settings) // Open tells what cannot be read
	return settings.Auth.UsesNode()
}

// NodeSettings implements store.NodeReader: where the secrets are, among Azure's
// own hosts, and among those of the machine's identities that the operator lists
// which one reads. Its tokens go where they went before.
func (*Type) NodeSettings() []string {
	return []string{"vault", "hsm", "cloud", "tenantID", "auth.identityID"}
}

// Audiences implements store.TokenTaker.
func (*Type) Audiences(given store.Settings) []string {
	settings := azure.DefaultSettings()
	remote.Decode(given.Fields, &settings) // Open tells what cannot be read
	return settings.Auth.Audiences()
}

// Open checks the settings, which docs/stores/azure.md lists, and reads the
// certificate file that they name. It makes no call.
func (t *Type) Open(given store.Settings) (store.Store, error) {
	settings := azure.DefaultSettings()
	problems := remote.Decode(given.Fields, &settings)
	settings.Network = given.Reach("address", "dnsSuffix", "endpoint", "environmentFile")
	settings.LoginNetwork = given.Reach("authorityHost", "environmentFile")
	settings.Check(given.ByOperator, &problems)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	vault, err := t.pool.Connect(&settings)
	if err != nil {
		return nil, err
	}
	opened, err := newStore(vault, settings.HSM != "")
	if err != nil {
		vault.Close()
		return nil, err
	}
	return opened, nil
}
