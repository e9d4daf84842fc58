package sealed

import (
	"fmt"

	"github.com/lanyardhq/lanyard/internal/proxy"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/seal"
)

// maxKeys is the maximum number of service keys in one store.
const maxKeys = 64

// The values of openAs: whose credentials the key service sees.
const (
	openAsPod  = "pod"
	openAsNode = "node"
)

// keySettings is a key of a key service.
type keySettings struct {
	// Name is the name in sealed values.
	Name string `yaml:"name"`
	// OpenAs is pod, or node for a key service that cannot distinguish pods.
	OpenAs string `yaml:"openAs"`
	// Service is the key service's type and settings; placeholders stand for the pod's
	// namespace and service account.
	Service map[string]any `yaml:"service"`
}

// openKeys opens the keys and returns all problems. The caller closes the opened keys
// even if there are problems. Calls go through the proxy.
func openKeys(given []keySettings, types []key.Type, via proxy.Settings) (opened []*seal.ServiceKey, problems strict.Problems) {
	if len(given) > maxKeys {
		problems.Add("keys", "has %d keys, at most %d are possible", len(given), maxKeys)
		return nil, problems
	}
	names := map[string]int{}
	for i, k := range given {
		at := fmt.Sprintf("keys[%d]", i)
		if text := seal.WrongServiceKeyName(k.Name); text != "" {
			problems.Add(at+".name", "%s", text)
			continue
		}
		if first, twice := names[k.Name]; twice {
			problems.Add(at+".name", "is the name of keys[%d] too; give each key a name of its own", first)
			continue
		}
		names[k.Name] = i
		switch k.OpenAs {
		case "", openAsPod, openAsNode:
		default:
			problems.Add(at+".openAs", "must be pod, which asks the key service as the pod, or node")
		}
		asNode := k.OpenAs == openAsNode
		if asNode && hasPlaceholder(k.Service) {
			problems.Add(at+".service", "has a placeholder for the pod's namespace or service account, but openAs is node; remove the placeholder, or set openAs to pod")
			continue
		}
		service, wrong := openService(types, k.Service, via, at+".service")
		if problems = append(problems, wrong...); len(wrong) > 0 {
			continue
		}
		if user, knows := service.(key.NodeUser); knows && user.UsesNode() != asNode {
			service.Close()
			if asNode {
				problems.Add(at+".openAs", "is node, but the key's settings log in as the pod; remove openAs, or use settings that log in as the node")
			} else {
				problems.Add(at+".openAs", "is pod, the default, but the key's settings log in as the node; set openAs to node, or use settings that log in as the pod")
			}
			continue
		}
		named, err := seal.NewServiceKey(k.Name, service, asNode)
		if err != nil {
			service.Close()
			problems.Add(at+".name", "%s", err)
			continue
		}
		opened = append(opened, named)
	}
	return opened, problems
}
