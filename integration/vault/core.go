package main

import (
	"context"
	"errors"

	"github.com/hashicorp/go-hclog"
	credjwt "github.com/hashicorp/vault-plugin-auth-jwt"
	credkube "github.com/hashicorp/vault-plugin-auth-kubernetes"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	credapprole "github.com/hashicorp/vault/builtin/credential/approle"
	credcert "github.com/hashicorp/vault/builtin/credential/cert"
	"github.com/hashicorp/vault/builtin/logical/database"
	"github.com/hashicorp/vault/builtin/logical/pki"
	"github.com/hashicorp/vault/builtin/logical/ssh"
	"github.com/hashicorp/vault/builtin/logical/totp"
	"github.com/hashicorp/vault/builtin/logical/transit"
	"github.com/hashicorp/vault/plugins/database/postgresql"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

// newCore returns a Vault that is neither initialized nor unsealed. What the
// maps leave out, Vault adds itself: token, cubbyhole, identity and sys.
func newCore(logger hclog.Logger) (*vault.Core, error) {
	storage, err := inmem.NewInmem(nil, logger)
	if err != nil {
		return nil, err
	}
	return vault.NewCore(&vault.CoreConfig{
		Logger:       logger,
		Physical:     storage,
		StorageType:  "inmem",
		DisableMlock: true,
		LogicalBackends: map[string]logical.Factory{
			"kv":       kv.Factory, // version 1 or 2, by the mount's option "version"
			"transit":  transit.Factory,
			"pki":      pki.Factory,
			"ssh":      ssh.Factory,
			"totp":     totp.Factory,
			"database": database.Factory,
		},
		CredentialBackends: map[string]logical.Factory{
			"kubernetes": credkube.Factory,
			"jwt":        credjwt.Factory,
			"approle":    credapprole.Factory,
			"cert":       credcert.Factory,
		},
		BuiltinRegistry: databasePlugins{"postgresql-database-plugin": postgresql.New},
	})
}

// initialize makes the core ready for requests.
func initialize(ctx context.Context, core *vault.Core) (rootToken string, unsealKey []byte, err error) {
	result, err := core.Initialize(ctx, &vault.InitParams{
		BarrierConfig:  &vault.SealConfig{SecretShares: 1, SecretThreshold: 1},
		RecoveryConfig: &vault.SealConfig{},
	})
	if err != nil {
		return "", nil, err
	}
	unsealKey = result.SecretShares[0]
	// Unseal overwrites the key that it is given.
	unsealed, err := core.Unseal(append([]byte(nil), unsealKey...))
	if err != nil {
		return "", nil, err
	}
	if !unsealed {
		return "", nil, errors.New("still sealed after its one key share")
	}
	return result.RootToken, unsealKey, nil
}

// databasePlugins are the database plugins that are built in, by name. It is
// a vault.BuiltinRegistry without any other kind of plugin.
type databasePlugins map[string]func() (interface{}, error)

func (p databasePlugins) Contains(name string, kind consts.PluginType) bool {
	_, ok := p.Get(name, kind)
	return ok
}

func (p databasePlugins) Get(name string, kind consts.PluginType) (func() (interface{}, error), bool) {
	if kind != consts.PluginTypeDatabase {
		return nil, false
	}
	plugin, ok := p[name]
	return plugin, ok
}

func (p databasePlugins) Keys(kind consts.PluginType) []string {
	if kind != consts.PluginTypeDatabase {
		return nil
	}
	names := make([]string, 0, len(p))
	for name := range p {
		names = append(names, name)
	}
	return names
}
