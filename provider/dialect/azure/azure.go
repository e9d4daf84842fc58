// Package azure is the dialect of the Azure Key Vault provider for the Secrets
// Store CSI driver, provider: azure, so that SecretProviderClasses which were
// written for it work unchanged. It turns their parameters into a
// spec.Class that reads from the store named azure, or from the one named
// azure-node where the class asks for the identity of the node: the operator's
// where the configuration names one, else one that the class defines. It judges
// syntax alone.
//
// The facts about the original are those of its public documentation,
// https://azure.github.io/secrets-store-csi-driver-provider-azure/, for versions
// up to 1.8. Every parameter and field, and every difference, is in
// docs/migrate-from-azure.md.
//
// Start with Parse.
package azure

import (
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

// Parse is the dialect. Its error is a spec.Problems with all that is wrong
// with the syntax; the class then holds what was understood, which is good for
// finding more problems and for nothing else.
func Parse(parameters map[string]string) (*spec.Class, error) {
	p := parser{parameters: trimmed(parameters)}
	p.Unknown(parameters, known())
	name, settings := p.store()
	class := &spec.Class{
		Words:    words(name, p.parameters),
		Stores:   map[string]map[string]any{name: settings},
		Defaults: defaults(),
	}
	if p.parameters[parameterObjects] == "" {
		p.Wrong(parameterObjects, "missing; list what the volume is to hold")
	} else {
		class.Objects = p.objects(name, parameters[parameterObjects])
	}
	class.Idle = p.idle
	return class, p.Err()
}

// parser collects what is wrong, and what is right and has no effect.
type parser struct {
	dialect.Reader
	parameters map[string]string // without the spaces around their values
	idle       spec.Problems
}

// noEffect notes a parameter that the original takes and makes no use of.
func (p *parser) noEffect(parameter, why string) {
	p.idle = append(p.idle, spec.Problem{Field: parameter, Text: why})
}
