package manifest

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// secretObject asks the driver to copy files of the volume into a Secret.
type secretObject struct {
	SecretName  text            `yaml:"secretName"`
	Type        text            `yaml:"type"`
	Labels      map[string]text `yaml:"labels"`
	Annotations map[string]text `yaml:"annotations"`
	Data        []secretData    `yaml:"data"`
}

type secretData struct {
	ObjectName text `yaml:"objectName"`
	Key        text `yaml:"key"`
}

// secretObjects checks that the Secrets that the driver is to make can be made:
// it needs every field (ValidateSecretObject and GetSecretData in the driver's
// pkg/util/secretutil) and looks the files up by their path in the volume.
func (f *file) secretObjects(of about, root *yaml.Node, secrets []secretObject, class *spec.Class) {
	names := map[text]int{}
	for i, s := range secrets {
		field := fmt.Sprintf("spec.secretObjects[%d]", i)
		switch first, twice := names[s.SecretName]; {
		case s.SecretName == "":
			f.at(of, root, field+".secretName", "missing; name the Secret to make")
		case twice:
			f.at(of, root, field+".secretName", fmt.Sprintf("is given twice, also in spec.secretObjects[%d]; put the data together", first))
		default:
			names[s.SecretName] = i
		}
		if s.Type == "" {
			f.at(of, root, field+".type", "missing; give the Secret's type, such as Opaque")
		}
		if len(s.Data) == 0 {
			f.at(of, root, field+".data", "has no entries; list at least one file")
		}
		keys := map[text]bool{}
		for j, d := range s.Data {
			f.secretData(of, root, fmt.Sprintf("%s.data[%d]", field, j), d, keys, class)
		}
	}
}

func (f *file) secretData(of about, root *yaml.Node, field string, d secretData, keys map[text]bool, class *spec.Class) {
	switch {
	case d.Key == "":
		f.at(of, root, field+".key", "missing; name the key in the Secret")
	case keys[d.Key]:
		f.at(of, root, field+".key", "is given twice in this Secret; rename one")
	}
	keys[d.Key] = true
	if d.ObjectName == "" {
		f.at(of, root, field+".objectName", "missing; give the path of a file in the volume")
	} else if message := noFile(string(d.ObjectName), class); message != "" {
		f.at(of, root, field+".objectName", message)
	}
}

// noFile says why no file of the volume has the name, or nothing.
func noFile(name string, class *spec.Class) string {
	var paths []string
	for i, o := range class.Objects {
		switch {
		case o.Path == "" && o.Name == name:
			return fmt.Sprintf("is object %d, which makes no file; give it a path", i+1)
		case o.Path == "":
		case o.Path == name && !o.Expand, o.Expand && strings.HasPrefix(name, o.Path+"/"):
			return ""
		case o.Path == name:
			return fmt.Sprintf("is the directory of object %d, which expands; add the name of a key after a slash", i+1)
		case o.Name == name:
			return fmt.Sprintf("is the name of object %d; give its path here", i+1)
		default:
			paths = append(paths, o.Path)
		}
	}
	if nearest := strict.Nearest(name, paths); nearest != "" {
		return "no object has this path; did you mean " + nearest + "?"
	}
	return "no object has this path; give the path of one"
}
