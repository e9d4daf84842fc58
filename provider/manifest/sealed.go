package manifest

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// sealed says of sealed values what can be told without a key: whether the text
// is whole, and whether it is sealed for this class. What was said of one
// already is not said again.
func (f *file) sealed(of about, root *yaml.Node, class *spec.Class, said spec.Problems) {
	for i, o := range class.Objects {
		field := fmt.Sprintf("objects[%d].sealed", i)
		if o.Sealed == "" || slices.ContainsFunc(said, func(p spec.Problem) bool { return p.Field == field }) {
			continue
		}
		if message := f.unusable(of, o); message != "" {
			f.parameters(of, root, spec.Problems{{Field: field, Object: i + 1, ID: o.ID(), Text: message}})
		}
	}
}

// unusable says why nobody who uses the class can open the object's sealed
// value, or nothing. What the file does not tell is taken to fit.
func (f *file) unusable(of about, o spec.Object) string {
	value, err := seal.Parse(o.Sealed)
	if err != nil {
		return err.Error()
	}
	scope := value.Scope()
	as := identity.Identity{Cluster: f.Cluster, Namespace: of.namespace, ServiceAccount: scope.ServiceAccount.String()}
	if !f.Configured {
		as.Cluster = scope.Cluster.String()
	}
	if as.Namespace == "" {
		as.Namespace = scope.Namespace.String()
	}
	if err := scope.Match(as, o.ID(), f.Now); err != nil {
		return err.Error()
	}
	return ""
}
