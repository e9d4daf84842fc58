package cmd

import (
	"io"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/provider/manifest"
)

// classManifest is what a mount needs of a SecretProviderClass.
type classManifest struct {
	name       string
	namespace  string
	provider   string
	parameters map[string]string
}

// readClass reads a SecretProviderClass from a file, a folder or standard input: the
// one of that name, or the only one if name is empty. Whether its parameters make
// sense is not judged here.
func readClass(stdin io.Reader, path, name string) (classManifest, error) {
	var classes []manifest.Class
	err := manifest.Each(stdin, []string{path}, manifest.Kind, func(in manifest.Input, err error) error {
		if err == nil {
			var documents []*yaml.Node
			documents, err = manifest.Documents(in.Text)
			classes = append(classes, manifest.Classes(documents)...)
		}
		if err != nil {
			return unreadable(in.Name, err)
		}
		return nil
	})
	if err != nil {
		return classManifest{}, usageError{err}
	}
	chosen, err := manifest.Choose(classes, name)
	if err != nil {
		return classManifest{}, usagef("%s %w", path, err)
	}
	class := classes[chosen]
	parameters, err := class.Parameters()
	if err != nil {
		return classManifest{}, usagef("%s cannot be read as a SecretProviderClass: %w", path, err)
	}
	return classManifest{class.Name(), class.Namespace(), class.Provider(), parameters}, nil
}
