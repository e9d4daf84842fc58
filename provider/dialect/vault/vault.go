// Package vault is the dialect of vault-csi-provider, provider: vault: its
// SecretProviderClasses work unchanged. A parsed spec.Class reads from the store
// vault, which the configuration or else the class defines. The package checks syntax
// only: it knows neither files nor addresses, and the operator decides which settings
// a class may give. Package openbao has other names for the same parameters.
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
const StoreName = Name

// storeType is the type of the stores of all products.
const storeType = "vault"

// product is HashiCorp's.
var product = Product{Name: Name, Title: "Vault", Prefixes: []string{"vault"}}

// Parse parses the parameters. Its error is a spec.Problems with every syntax error;
// the class then holds the valid parts, for finding further problems only.
func Parse(parameters map[string]string) (*spec.Class, error) { return product.Parse(parameters) }

// Parse is the function Parse for the classes of the product.
func (p *Product) Parse(parameters map[string]string) (*spec.Class, error) {
	reading := parser{Reader: dialect.Reader{Original: &strict.Tolerant{}}, product: p}
	reading.read(parameters)
	auth := map[string]any{"method": "kubernetes"}
	if p.Audience != "" {
		auth["audience"] = p.Audience
	}
	class := &spec.Class{
		Words:    reading.words(),
		Stores:   map[string]map[string]any{p.Name: reading.store()},
		Defaults: map[string]map[string]any{p.Name: {"type": storeType, "auth": auth}},
		Objects:  reading.objects(),
	}
	class.Idle = reading.Idle
	return class, reading.Err()
}

// parser collects problems.
type parser struct {
	dialect.Reader
	product    *Product
	parameters map[string]string // without their prefixes
	names      map[string]string // of the parameters in the class, or else their newest
}
