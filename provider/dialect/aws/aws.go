// Package aws is the dialect of the AWS Secrets and Configuration Provider, provider:
// aws: its SecretProviderClasses work unchanged. A parsed spec.Class reads from two
// stores, named after the original's kinds of object: secretsmanager and
// ssmparameter. The configuration may define each; otherwise the class does. The
// package checks syntax only: regions and roles are the store's to check, and the
// operator decides which settings a class may give.
//
// The facts about the original are from its public documentation,
// https://github.com/aws/secrets-store-csi-driver-provider-aws and
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/ascp-examples.html, for
// versions up to 3.1. docs/migrate-from-aws.md lists every parameter, field and
// difference.
//
// Start with Parse.
package aws

import (
	"maps"
	"strconv"
	"strings"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/dialect"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// Name is the provider's name in a SecretProviderClass.
const Name = "aws"

// The stores that classes of this dialect read from.
const (
	SecretsManager = "secretsmanager"
	ParameterStore = "ssmparameter"
)

// The parameters of a class.
const (
	parameterObjects     = "objects"
	parameterRegion      = "region"
	parameterFailover    = "failoverRegion"
	parameterTranslation = "pathTranslation"
	parameterPodIdentity = "usePodIdentity"
	parameterAddressType = "preferredAddressType"
)

func known() []string {
	return []string{parameterObjects, parameterRegion, parameterFailover, parameterTranslation, parameterPodIdentity, parameterAddressType}
}

// Parse parses the parameters. Its error is a spec.Problems with every syntax error;
// the class then holds the valid parts, for finding further problems only.
func Parse(parameters map[string]string) (*spec.Class, error) {
	p := parser{Reader: dialect.Reader{Original: &strict.Tolerant{FoldCase: true}}, parameters: parameters}
	p.Unknown(parameters, known())
	p.slash = p.translation()
	class := &spec.Class{Words: words(), Stores: map[string]map[string]any{}}
	class.Objects = p.objects()
	settings := p.store()
	for _, o := range class.Objects {
		if _, ok := class.Stores[o.Store]; ok || o.Store == "" {
			continue
		}
		class.Stores[o.Store] = maps.Clone(settings)
		class.Stores[o.Store]["type"] = "aws-secrets-manager"
		if o.Store == ParameterStore {
			class.Stores[o.Store]["type"] = "aws-parameter-store"
		}
	}
	class.Idle = p.Idle
	return class, p.Err()
}

// parser collects problems.
type parser struct {
	dialect.Reader
	parameters map[string]string
	slash      string // what a slash in a file's name becomes; empty keeps it
}

// store returns the class's settings of its stores besides their types: only those,
// so that the operator's settings apply otherwise. Empty parameters count as absent.
func (p *parser) store() map[string]any {
	settings := map[string]any{}
	region, failover := p.parameters[parameterRegion], p.parameters[parameterFailover]
	if region != "" {
		settings["region"] = region
	}
	if failover != "" {
		settings["failoverRegions"] = []any{failover}
		if failover == region {
			p.Wrong(parameterFailover, "must be another region than %s", parameterRegion)
		}
	}
	address := p.addressType()
	switch byPod, err := strconv.ParseBool(p.parameters[parameterPodIdentity]); {
	case p.parameters[parameterPodIdentity] == "":
	case err != nil:
		p.Wrong(parameterPodIdentity, `must be "true" or "false"`)
	case !byPod:
		settings["auth"] = map[string]any{"method": "webIdentity"}
	default:
		auth := map[string]any{"method": "podIdentity"}
		if address != "" {
			auth["addressType"] = address
		}
		settings["auth"] = auth
		return settings
	}
	if address != "" {
		p.NoEffect(parameterAddressType, "has no effect without "+parameterPodIdentity)
	}
	return settings
}

// addressType returns the agent's address family as a setting of the store; "" for
// either.
func (p *parser) addressType() string {
	given := p.parameters[parameterAddressType]
	switch address := strings.ToLower(given); address {
	case "", "auto":
		return ""
	case "ipv4", "ipv6":
		return address
	}
	p.Wrong(parameterAddressType, "%s", strict.Unknown("address type", given, []string{"ipv4", "ipv6", "auto"}))
	return ""
}

// translation returns the replacement of slashes in file names; "" keeps them.
func (p *parser) translation() string {
	switch given := p.parameters[parameterTranslation]; {
	case given == "":
		return "_"
	case strings.EqualFold(given, "false"):
		return ""
	case len(given) != 1:
		p.Wrong(parameterTranslation, `must be "False", or the one character that slashes in file names become`)
		return "_"
	default:
		return given
	}
}

// words maps the engine's fields and the stores' settings to names in the class.
func words() spec.Words {
	w := spec.Words{
		"objects[].path":                     fieldAlias,
		"objects[].key":                      fieldName,
		"objects[].version":                  fieldVersion,
		"objects[].options.stage":            fieldLabel,
		"objects[].options.label":            fieldLabel,
		"objects[].options.failover.key":     fieldFailover + "." + fieldName,
		"objects[].options.failover.version": fieldFailover + "." + fieldVersion,
		"objects[].options.failover.stage":   fieldFailover + "." + fieldLabel,
		"objects[].options.failover.label":   fieldFailover + "." + fieldLabel,
		"objects[].options.failover":         fieldFailover,
		"objects[].options.path":             fieldName,
		"objects[].options.recursive":        fieldName,
		"objects[].property":                 fieldJMESPath,
		"objects[].mode":                     fieldPermission,
		"objects[].store":                    fieldType,
		"objects[].expand":                   fieldExpand,
		"objects[].encoding":                 fieldEncoding,
		"objects[].optional":                 fieldOptional,
	}
	for _, store := range []string{SecretsManager, ParameterStore} {
		w["stores."+store+".region"] = parameterRegion
		w["stores."+store+".failoverRegions"] = parameterFailover
		w["stores."+store+".auth.method"] = parameterPodIdentity
		w["stores."+store+".auth.addressType"] = parameterAddressType
	}
	return w
}
