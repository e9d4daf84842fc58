// Package azure is the dialect of the Azure Key Vault provider for the Secrets Store
// CSI driver, provider: azure: its SecretProviderClasses work unchanged. A parsed
// spec.Class reads from the store azure, or from azure-node if the class wants the
// node's identity. The configuration may define each store; otherwise the class does.
// The package checks syntax only.
//
// The facts about the original are from its public documentation,
// https://azure.github.io/secrets-store-csi-driver-provider-azure/, for versions up
// to 1.8. docs/migrate-from-azure.md lists every parameter, field and difference.
//
// Start with Parse.
package azure

import (
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/dialect"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// Name is the provider's name in a SecretProviderClass.
const Name = "azure"

// The stores that classes of this dialect read from: as the pod, and as the
// node.
const (
	StoreName     = "azure"
	NodeStoreName = "azure-node"
)

// Options are the operator's for all classes of the dialect.
type Options struct {
	// SeparateCertAndKey makes NAME.crt and NAME.key beside NAME, if that is the secret of
	// a certificate.
	SeparateCertAndKey bool
}

// Parse parses the parameters. Its error is a spec.Problems with every syntax error;
// the class then holds the valid parts, for finding further problems only.
func Parse(parameters map[string]string) (*spec.Class, error) { return Options{}.Parse(parameters) }

// Parse is the function Parse under the operator's options.
func (options Options) Parse(parameters map[string]string) (*spec.Class, error) {
	p := parser{Reader: dialect.Reader{Original: &strict.Tolerant{}}, parameters: trimmed(parameters), options: options}
	p.Unknown(parameters, known())
	name, settings := p.store()
	class := &spec.Class{
		Words:    words(),
		Stores:   map[string]map[string]any{name: settings},
		Defaults: defaults(),
	}
	p.class = class
	p.storeWords(name, parameterVault)
	if p.parameters[parameterObjects] == "" {
		p.Wrong(parameterObjects, "missing; list what the volume is to hold")
	} else {
		class.Objects = p.objects(name, parameters[parameterObjects])
	}
	class.Idle = p.Idle
	return class, p.Err()
}

// parser collects problems.
type parser struct {
	dialect.Reader
	parameters map[string]string // without the spaces around their values
	options    Options
	class      *spec.Class
}
