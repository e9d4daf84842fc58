package seal

import (
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/key"
)

const serviceKind = "lanyard.seal-key.v1"

// serviceFile is a file that names a key of a key service, as YAML. It is for
// those who seal and holds nothing secret: like a public key it may be committed
// to Git, and must be guarded against being replaced.
type serviceFile struct {
	Kind    string `yaml:"kind"`
	Name    string `yaml:"name"`
	Cluster string `yaml:"cluster"`
	// Service is the key service: its type, and the type's own settings.
	Service map[string]any `yaml:"service"`
}

// ParseServiceKey reads a file that names a key of a key service of one of the
// types, and opens the key for whoever runs this program, whichever workload a
// value is for. It makes no call. The error is a strict.Problems. Whoever has
// the ServiceKey closes it.
func ParseServiceKey(data []byte, types []key.Type) (*ServiceKey, error) {
	if err := wantKind(data, serviceKind); err != nil {
		return nil, err
	}
	var file serviceFile
	if err := strict.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	var problems strict.Problems
	if text := WrongServiceKeyName(file.Name); text != "" {
		problems = append(problems, strict.Problem{Field: "name", Text: text})
	}
	if text := wrongCluster(file.Cluster); text != "" {
		problems = append(problems, strict.Problem{Field: "cluster", Text: text})
	}
	opened, wrong := key.Open(types, file.Service, "service")
	if problems = append(problems, wrong...); len(problems) > 0 {
		if opened != nil {
			opened.Close()
		}
		return nil, problems
	}
	return newServiceKey(file.Name, file.Cluster, opened, true), nil
}
