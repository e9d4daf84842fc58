// Package gcp is the dialect of secrets-store-csi-driver-provider-gcp, provider:
// gcp, so that SecretProviderClasses which were written for it work unchanged.
// It turns their parameters into a spec.Class that reads from the store
// named gcp: the operator's if the configuration names one, else one that reads
// as the pod with what the node's GKE cluster tells. It judges syntax alone and
// knows no endpoint, pool or key; those are the operator's.
//
// The facts about the original are those of its public documentation and
// examples, https://github.com/GoogleCloudPlatform/secrets-store-csi-driver-provider-gcp,
// for versions up to 1.15. Every parameter and field, and every difference, is
// in docs/migrate-from-gcp.md.
//
// Start with Parse.
package gcp

import (
	"fmt"
	"strings"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/dialect"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// Name is the provider's name in a SecretProviderClass.
const Name = "gcp"

// The stores that classes of this dialect read from: as the pod, and with the
// identity that the provider itself runs as, which only the operator can lend.
const (
	StoreName         = "gcp"
	providerStoreName = "gcp-provider-adc"
)

// storeType is that of both.
const storeType = "google-secret-manager"

// The parameters of a class, and the ways to log in.
const (
	parameterSecrets = "secrets"
	parameterAuth    = "auth"

	authPod      = "pod-adc"
	authProvider = "provider-adc"
)

// Parse is the dialect. Its error is a spec.Problems with all that is wrong
// with the syntax; the class then holds what was understood, which is good for
// finding more problems and for nothing else.
func Parse(parameters map[string]string) (*spec.Class, error) {
	p := parser{store: StoreName}
	p.Unknown(parameters, []string{parameterSecrets, parameterAuth})
	class := &spec.Class{}
	implied := map[string]any{"type": storeType}
	switch auth := parameters[parameterAuth]; auth {
	case "", authPod:
	case authProvider:
		p.store = providerStoreName
		implied["auth"] = map[string]any{"method": "metadata"}
	default:
		p.Wrong(parameterAuth, "%s", strict.Unknown("way to log in", auth, []string{authPod, authProvider}))
	}
	class.Stores = map[string]map[string]any{p.store: {}}
	class.Defaults = map[string]map[string]any{p.store: implied}
	if text, ok := parameters[parameterSecrets]; ok {
		class.Objects = p.secrets(text)
	} else {
		p.Wrong(parameterSecrets, "missing; list what the volume is to hold")
	}
	class.Words = p.words()
	class.Idle = p.idle
	return class, p.Err()
}

// parser collects what is wrong, and what is right and has no effect.
type parser struct {
	dialect.Reader
	store    string
	idle     spec.Problems
	fileName bool // some entry is named by fileName, and none by path
	yaml     bool // some entry takes a key from YAML, and none from JSON
}

// noEffect notes a field that the original takes and makes no use of.
func (p *parser) noEffect(i int, id, field, why string) {
	p.idle = append(p.idle, spec.Problem{
		Field: fmt.Sprintf("%s[%d].%s", parameterSecrets, i, field), Object: i + 1, ID: id, Text: why,
	})
}

// words are what the class calls the engine's fields.
func (p *parser) words() spec.Words {
	words := spec.Words{
		"objects":                  parameterSecrets,
		"objects[].path":           fieldPath,
		"objects[].key":            fieldResource,
		"objects[].version":        fieldResource,
		"objects[].property":       fieldJSONKey,
		"objects[].options.format": fieldYAMLKey,

		"stores." + p.store + ".auth.method": parameterAuth,
	}
	if p.fileName {
		words["objects[].path"] = fieldFileName
	}
	if p.yaml {
		words["objects[].property"] = fieldYAMLKey
	}
	return words
}

// secrets reads the list of secrets.
func (p *parser) secrets(text string) []spec.Object {
	list := dialect.Entries(&p.Reader, parameterSecrets, text, func(e entry) string { return e.file() })
	paths, jsonKeys := 0, 0
	objects := make([]spec.Object, len(list))
	for i, e := range list {
		objects[i] = p.object(i, e)
		if e.Path != "" {
			paths++
		}
		if e.JSONKey != "" {
			jsonKeys++
		}
		p.fileName = p.fileName || e.FileName != ""
		p.yaml = p.yaml || e.YAMLKey != ""
	}
	p.fileName, p.yaml = p.fileName && paths == 0, p.yaml && jsonKeys == 0
	return objects
}

// resource splits the resource name of a version into that of the secret and
// the version, which is empty for the latest.
func resource(name string) (key, version, problem string) {
	parts := strings.Split(name, "/")
	last := len(parts) - 1
	switch {
	case (len(parts) == 6 || len(parts) == 8) && parts[last-1] == "versions" && parts[last-3] == "secrets" && parts[last] != "":
		if version = parts[last]; version == "latest" {
			version = "" // which is what no version means
		}
		return strings.Join(parts[:last-1], "/"), version, ""
	case len(parts) == 8 && parts[4] == "parameters":
		return "", "", "is a parameter of Parameter Manager, which is not supported: secrets of Secret Manager alone are read here"
	case (len(parts) == 4 || len(parts) == 6) && parts[last-1] == "secrets", strings.HasSuffix(name, "/versions/"):
		return "", "", "names no version; add /versions/latest, or the number or alias of one"
	}
	return "", "", "must be projects/PROJECT/secrets/SECRET/versions/VERSION or projects/PROJECT/locations/LOCATION/secrets/SECRET/versions/VERSION"
}
