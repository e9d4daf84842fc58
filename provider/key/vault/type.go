// Package vault is the key service of HashiCorp Vault's Transit engine, and of
// what speaks its API, such as OpenBao. The keys never leave Vault; what is
// encrypted is bound to its context there, by the key's derivation or by
// associated data, and here once more.
//
// It never asks Vault for the newest version in order to label a ciphertext
// with it: the version stands in the ciphertext. It never makes a key, and it
// refuses keys that encrypt the same plaintext to the same ciphertext. How it
// connects and logs in is package backend/vault's.
//
// Start with Type, then key.go; transit.go is the engine's API, payload.go what
// is encrypted. docs/keys/vault.md is the page for users.
package vault

import (
	"github.com/lanyardhq/lanyard/provider/backend/vault"
	"github.com/lanyardhq/lanyard/provider/key"
)

// Options are what a Type is made of. Observed is always "vault-transit".
type Options = vault.Options

// Type is the kind of key service named "vault". It holds the connections to
// every address, which all keys with the same address and TLS settings share.
type Type struct {
	pool   *vault.Pool
	person *vault.Person // nil where pods are served
}

// NewType returns a Type without connections.
func NewType(opts Options) *Type {
	opts.Observed = "vault-transit"
	return &Type{pool: vault.NewPool(opts), person: opts.Person}
}

// Name is "vault".
func (t *Type) Name() string { return "vault" }

// Open checks the settings, which docs/keys/vault.md lists, and reads the certificate
// files in them. With a Person in Options, the key uses that token, and the settings
// must not have another login. It makes no call.
func (t *Type) Open(given key.Settings) (key.Key, error) {
	config, problems := parseSettings(given, t.person)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	if given.NameOnly {
		named := &vaultKey{settings: config}
		return key.Named(named.Name(), named.Fixed()), nil
	}
	connection, err := t.pool.Connect(&config.Settings)
	if err != nil {
		return nil, err
	}
	return &vaultKey{settings: config, connection: connection}, nil
}
