// Package gcp is the dialect of secrets-store-csi-driver-provider-gcp, provider: gcp:
// its SecretProviderClasses work unchanged. A parsed spec.Class reads from the store
// gcp: the configuration's, or one that reads as the pod with the settings of the
// node's GKE cluster. The package checks syntax only; endpoints, pools and keys are
// the operator's.
//
// The facts about the original are from its public documentation and examples,
// https://github.com/GoogleCloudPlatform/secrets-store-csi-driver-provider-gcp, for
// versions up to 1.16. docs/migrate-from-gcp.md lists every parameter, field and
// difference.
//
// Start with Parse.
package gcp

import (
	"strings"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/dialect"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// Name is the provider's name in a SecretProviderClass, and AddOnName that of GKE's managed
// add-on, whose classes are the same.
// https://cloud.google.com/secret-manager/docs/secret-manager-managed-csi-component
const (
	Name      = "gcp"
	AddOnName = "gke"
)

// The stores of this dialect: one reads as the pod, one with the provider's own
// identity, which only the operator can allow.
const (
	StoreName         = "gcp"
	providerStoreName = "gcp-provider-adc"
)

// storeType is the type of both.
const storeType = "google-secret-manager"

// The parameters of a class, and the ways to log in.
const (
	parameterSecrets = "secrets"
	parameterAuth    = "auth"

	authPod      = "pod-adc"
	authProvider = "provider-adc"
)

// Parse parses the parameters. Its error is a spec.Problems with every syntax error;
// the class then holds the valid parts, for finding further problems only.
func Parse(parameters map[string]string) (*spec.Class, error) {
	p := parser{Reader: dialect.Reader{Original: &strict.Tolerant{}}, store: StoreName}
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
	class.Objects = p.secrets(parameters)
	class.Words = p.words()
	class.Idle = p.Idle
	return class, p.Err()
}

// parser collects problems.
type parser struct {
	dialect.Reader
	store    string
	fileName bool // some entry is named by fileName, and none by path
	yaml     bool // some entry takes a key from YAML, and none from JSON
}

// words maps the engine's fields to names in the class.
func (p *parser) words() spec.Words {
	words := spec.Words{
		"objects":                  parameterSecrets,
		"objects[].path":           fieldPath,
		"objects[].mode":           fieldMode,
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

// secrets parses the list of secrets.
func (p *parser) secrets(parameters map[string]string) []spec.Object {
	paths, jsonKeys := 0, 0
	var objects []spec.Object
	for i, e := range dialect.Entries(&p.Reader, parameters, parameterSecrets, func(e entry) string { return e.file() }) {
		objects = append(objects, p.object(i, e))
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
	return p.LastCounts(parameterSecrets, fieldPath, objects)
}

// resource splits a version's resource name into secret or parameter, and version; "" is
// the latest of a secret.
func resource(name string) (key, version, problem string) {
	parts := strings.Split(name, "/")
	last := len(parts) - 1
	ofSecret := (len(parts) == 6 || len(parts) == 8) && parts[last-3] == "secrets"
	ofParameter := len(parts) == 8 && parts[last-3] == "parameters"
	switch {
	case (ofSecret || ofParameter) && parts[last-1] == "versions" && parts[last] != "":
		if version = parts[last]; ofSecret && version == "latest" {
			version = "" // which is what no version means
		}
		return strings.Join(parts[:last-1], "/"), version, ""
	case len(parts) == 6 && parts[4] == "parameters", ofParameter:
		return "", "", "names no version; add /versions/ and the name of one, since a parameter has no latest version"
	case (len(parts) == 4 || len(parts) == 6) && parts[last-1] == "secrets", strings.HasSuffix(name, "/versions/"):
		return "", "", "names no version; add /versions/latest, or the number or alias of one"
	}
	return "", "", wantResource
}

const wantResource = "must be projects/PROJECT/secrets/SECRET/versions/VERSION, projects/PROJECT/locations/LOCATION/secrets/SECRET/versions/VERSION or, for Parameter Manager, projects/PROJECT/locations/LOCATION/parameters/PARAMETER/versions/VERSION"
