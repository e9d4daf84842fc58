package cmd

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// classManifest is what a mount needs of a SecretProviderClass.
type classManifest struct {
	name       string
	namespace  string
	provider   string
	parameters map[string]string
}

// readClass reads a SecretProviderClass from a file of YAML documents: the one
// of that name, or the only one if name is empty. What the class says is not
// judged here.
func readClass(path, name string) (classManifest, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return classManifest{}, usageError{err}
	}
	var found []classManifest
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var document struct {
			Kind     string
			Metadata struct{ Name, Namespace string }
			Spec     struct {
				Provider   string
				Parameters map[string]string
			}
		}
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return classManifest{}, usagef("%s cannot be read as a SecretProviderClass; lanyard check tells the line", path)
		}
		if document.Kind == "SecretProviderClass" && (name == "" || document.Metadata.Name == name) {
			found = append(found, classManifest{document.Metadata.Name, document.Metadata.Namespace, document.Spec.Provider, document.Spec.Parameters})
		}
	}
	switch {
	case len(found) == 0 && name != "":
		return classManifest{}, usagef("%s holds no SecretProviderClass named %s", path, name)
	case len(found) == 0:
		return classManifest{}, usagef("%s holds no SecretProviderClass", path)
	case len(found) > 1:
		names := make([]string, len(found))
		for i, class := range found {
			names[i] = class.name
		}
		return classManifest{}, usagef("%s holds several classes; choose one with --class: %s", path, strings.Join(names, ", "))
	}
	return found[0], nil
}
