// Package openbao is the dialect of openbao-csi-provider, provider: openbao: that of
// package vault with names of its own for the parameters. A parsed spec.Class reads from
// the store openbao, whose type is vault.
//
// The facts about the original are from its source,
// https://github.com/openbao/openbao-csi-provider/blob/main/internal/config/config_test.go
// and config.go beside it, for versions up to 2.0: bao goes before openbao, and that
// before vault. docs/migrate-from-openbao.md lists every parameter, field and difference.
package openbao

import (
	"github.com/lanyardhq/lanyard/provider/dialect/vault"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// Name is the provider's name in a SecretProviderClass, and of the store of its classes.
const Name = "openbao"

var product = vault.Product{Name: Name, Title: "OpenBao", Prefixes: []string{"bao", "openbao", "vault"}, OldRoles: true, Audience: Name}

// Parse parses the parameters. Its error is a spec.Problems with every syntax error;
// the class then holds the valid parts, for finding further problems only.
func Parse(parameters map[string]string) (*spec.Class, error) { return product.Parse(parameters) }
