// Package vault is the dialect of vault-csi-provider, provider: vault, so that
// SecretProviderClasses which were written for it work unchanged. It turns their
// parameters into a spec.Class that reads from the store named vault: the
// operator's if the configuration names one, else one that the class defines. It
// judges syntax alone and knows neither files nor addresses; what a class may
// say of the store is the operator's to decide.
//
// The facts about the original are those of its public documentation,
// https://developer.hashicorp.com/vault/docs/deploy/kubernetes/csi/configurations,
// for versions up to 1.7. Every parameter and field, and every difference, is in
// docs/migrate-from-vault.md.
//
// Start with Parse.
package vault

import (
	"github.com/lanyardhq/lanyard/provider/dialect"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// Name is the provider's name in a SecretProviderClass.
const Name = "vault"

// StoreName is the store that classes of this dialect read from.
const StoreName = "vault"

// Parse is the dialect. Its error is a spec.Problems with all that is wrong
// with the syntax; the class then holds what was understood, which is good for
// finding more problems and for nothing else.
func Parse(parameters map[string]string) (*spec.Class, error) {
	p := parser{parameters: parameters}
	p.Unknown(parameters, known)
	class := &spec.Class{Words: words(parameters)}
	class.Stores = map[string]map[string]any{StoreName: p.store()}
	class.Defaults = map[string]map[string]any{StoreName: {
		"type": "vault", "auth": map[string]any{"method": "kubernetes"},
	}}
	if text, ok := parameters[parameterObjects]; ok {
		class.Objects = p.objects(text)
	} else {
		p.Wrong(parameterObjects, "missing; list what the volume is to hold")
	}
	class.Idle = p.idle
	return class, p.Err()
}

// parser collects what is wrong, and what is right and has no effect.
type parser struct {
	dialect.Reader
	parameters map[string]string
	idle       spec.Problems
}

// noEffect notes a setting that the original takes and makes no use of.
func (p *parser) noEffect(problem spec.Problem) { p.idle = append(p.idle, problem) }
