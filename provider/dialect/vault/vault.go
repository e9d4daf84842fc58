// Package vault is the dialect of vault-csi-provider, provider: vault: its
// SecretProviderClasses work unchanged. A parsed spec.Class reads from the store
// vault, which the configuration or else the class defines. The package checks syntax
// only: it knows neither files nor addresses, and the operator decides which settings
// a class may give.
//
// The facts about the original are from its public documentation,
// https://developer.hashicorp.com/vault/docs/deploy/kubernetes/csi/configurations,
// for versions up to 1.7. docs/migrate-from-vault.md lists every parameter, field and
// difference.
//
// Start with Parse.
package vault

import (
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/dialect"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// Name is the provider's name in a SecretProviderClass.
const Name = "vault"

// StoreName is the store of this dialect's classes.
const StoreName = "vault"

// Parse parses the parameters. Its error is a spec.Problems with every syntax error;
// the class then holds the valid parts, for finding further problems only.
func Parse(parameters map[string]string) (*spec.Class, error) {
	p := parser{Reader: dialect.Reader{Original: &strict.Tolerant{}}, parameters: parameters}
	p.Unknown(parameters, known)
	class := &spec.Class{Words: words(parameters)}
	class.Stores = map[string]map[string]any{StoreName: p.store()}
	class.Defaults = map[string]map[string]any{StoreName: {
		"type": "vault", "auth": map[string]any{"method": "kubernetes"},
	}}
	class.Objects = p.objects()
	class.Idle = p.Idle
	return class, p.Err()
}

// parser collects problems.
type parser struct {
	dialect.Reader
	parameters map[string]string
}
