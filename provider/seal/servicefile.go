package seal

import (
	"github.com/lanyardhq/lanyard/internal/proxy"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/key"
)

const serviceKind = "lanyard.seal-key.v1"

// serviceFile is the YAML file that names a service key for those who seal. It is not
// secret: it may be committed to Git, but nobody must be able to replace it
// unnoticed.
type serviceFile struct {
	Kind    string `yaml:"kind"`
	Name    string `yaml:"name"`
	Cluster string `yaml:"cluster"`
	// Service is the key service: its type, and the type's own settings.
	Service map[string]any `yaml:"service"`
}

// ParseServiceKey parses a service key file and opens the key with this machine's
// credentials, for every workload. types are the known key services. It makes no
// call. The error is a strict.Problems. The caller closes the ServiceKey.
func ParseServiceKey(data []byte, types []key.Type) (*ServiceKey, error) {
	if err := wantKind(data, serviceKind); err != nil {
		return nil, err
	}
	var file serviceFile
	problems := strict.Unmarshal(data, &file)
	if text := WrongServiceKeyName(file.Name); text != "" {
		problems.Add("name", "%s", text)
	}
	if text := wrongCluster(file.Cluster); text != "" {
		problems.Add("cluster", "%s", text)
	}
	opened, wrong := key.Open(types, file.Service, proxy.Settings{}, "service")
	if problems = problems.With(wrong); len(problems) > 0 {
		if opened != nil {
			opened.Close()
		}
		return nil, problems
	}
	return newServiceKey(file.Name, file.Cluster, opened, true), nil
}
