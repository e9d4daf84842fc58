// Package azure is the key service of Azure Key Vault and Managed HSM: an RSA
// key, or a symmetric key of an HSM, wraps the data key of each plaintext. The
// context is bound by the data key's cipher, here, because neither algorithm
// takes associated data.
//
// It reads the version from the key identifier in the very answer that wrapped,
// never asks which version is current, and unwraps with the version that wrapped
// and no other. Connections and logins are provider/backend/azure's to know.
//
// Start with Type, then key.go. docs/keys/azure.md is the page for users; it
// says what an RSA key cannot promise.
package azure

import (
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/lanyardhq/lanyard/provider/backend/azure"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/key"
)

// Options are what a Type is made of. Observed is always "key-azure".
type Options = azure.Options

// Type is the kind of key service named "azure". It holds the connections,
// which all keys with the same addresses and TLS settings share.
type Type struct {
	pool     *azure.Pool
	asPerson bool // Options have a Person
}

// NewType returns a Type without connections.
func NewType(opts Options) *Type {
	opts.Observed = "key-azure"
	return &Type{pool: azure.NewPool(opts), asPerson: opts.Person != nil}
}

// Name is "azure".
func (t *Type) Name() string { return "azure" }

// Open checks the settings, which docs/keys/azure.md lists, and reads the
// certificate file that they name. If Options have a Person, the key is used as
// that one, and the settings may not say another login. It makes no call.
func (t *Type) Open(given key.Settings) (key.Key, error) {
	config, problems := parseSettings(given, t.asPerson)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	if given.NameOnly {
		return key.Named(nameOf(identifier(config.Address, config.Key)), config.Algorithm), nil
	}
	return t.open(config)
}

func (t *Type) open(config *settings) (key.Key, error) {
	vault, err := t.pool.Connect(&config.Settings)
	if err != nil {
		return nil, err
	}
	client, err := azkeys.NewClient(vault.Address(), nil, &azkeys.ClientOptions{ClientOptions: vault.ClientOptions()})
	if err != nil {
		vault.Close()
		return nil, fault.Failf(fault.ErrInvalid, "the settings do not make a client of Key Vault's")
	}
	return &azureKey{vault: vault, client: client, name: config.Key, algorithm: config.Algorithm}, nil
}
