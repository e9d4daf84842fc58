package manifest

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// sealed says of sealed values what can be told without a key: whether the text
// is whole, and whether it is sealed for this class. What was said of one
// already is not said again.
func (f *file) sealed(of about, root *yaml.Node, class *spec.Class, said spec.Problems) {
	var first seal.Name // the service account that a value before is sealed for
	var firstID string
	for i, o := range class.Objects {
		field := fmt.Sprintf("objects[%d].sealed", i)
		if o.Sealed == "" || slices.ContainsFunc(said, func(p spec.Problem) bool { return p.Field == field }) {
			continue
		}
		text, account := f.unusable(of, o)
		switch {
		case text != "" || account.IsAny() || account == (seal.Name{}):
		case first == (seal.Name{}):
			first, firstID = account, o.ID()
		case account != first:
			text = fmt.Sprintf("it is sealed for service account %q, and %s for %q: no pod can have both; seal one of them again, or make two classes", account.String(), message.Printable(firstID), first.String())
		}
		if text != "" {
			f.parameters(of, root, Error, spec.Problems{{Field: field, Object: i + 1, ID: o.ID(), Text: text}})
		}
	}
}

// unusable says why nobody who uses the class can open the object's sealed
// value, or nothing, and which service account it is for. What the file does not tell is
// taken to fit.
func (f *file) unusable(of about, o spec.Object) (text string, account seal.Name) {
	value, err := seal.Parse(o.Sealed)
	if err != nil {
		return err.Error(), account
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
		return err.Error(), scope.ServiceAccount
	}
	if f.Key != nil {
		return f.Key(value), scope.ServiceAccount
	}
	return "", scope.ServiceAccount
}
