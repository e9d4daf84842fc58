package cmd

import (
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/provider/manifest"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// classManifest is what a mount needs of a SecretProviderClass.
type classManifest struct {
	name       string
	namespace  string
	provider   string
	parameters map[string]string
	// tokens are those of TokenRequests beside the class, by audience.
	tokens map[string]secret.Bytes
}

// readClass reads a SecretProviderClass from a file, a folder or standard input: the
// one of that name, or the only one if name is empty; and the TokenRequests there. Whether
// its parameters make sense is not judged here.
func readClass(stdin io.Reader, path, name string) (classManifest, error) {
	var classes []manifest.Class
	tokens := map[string]secret.Bytes{}
	err := manifest.Each(stdin, []string{path}, []string{manifest.Kind}, func(in manifest.Input, err error) error {
		if err == nil {
			var documents []*yaml.Node
			documents, err = manifest.Documents(in.Text)
			classes = append(classes, manifest.Classes(documents)...)
			takeTokens(tokens, documents)
		}
		if err != nil {
			return unreadable(in.Name, err)
		}
		return nil
	})
	if err != nil {
		return classManifest{}, usageError{err}
	}
	if path == manifest.Stdin {
		path = "standard input"
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
	return classManifest{class.Name(), class.Namespace(), class.Provider(), parameters, tokens}, nil
}

// takeTokens takes the tokens of the TokenRequests among documents, as kubectl create token
// prints them with -o yaml.
func takeTokens(tokens map[string]secret.Bytes, documents []*yaml.Node) {
	for _, object := range manifest.Objects(documents) {
		var request struct {
			APIVersion string `yaml:"apiVersion"`
			Kind       string `yaml:"kind"`
			Spec       struct {
				Audiences []string `yaml:"audiences"`
			} `yaml:"spec"`
			Status struct {
				Token string `yaml:"token"`
			} `yaml:"status"`
		}
		if object.Root.Decode(&request) != nil || request.Kind != "TokenRequest" || !strings.HasPrefix(request.APIVersion, "authentication.k8s.io/") || request.Status.Token == "" {
			continue
		}
		for _, audience := range request.Spec.Audiences {
			tokens[audience] = secret.NewString(request.Status.Token)
		}
	}
}
