package reseal

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/provider/seal"
)

// Narrowing is what scopes become. An empty field leaves that part as it is. A
// part that is any becomes the name; one that is exactly the name stays; one
// that is another name is refused, since a value would move to others.
type Narrowing struct {
	Cluster        string
	Namespace      string
	ServiceAccount string
	// ExactObjects makes a value that opens as an object of any name that of the
	// object in whose place it stands.
	ExactObjects bool
	// NotAfter is the last moment for values that are open for longer.
	NotAfter time.Time
}

// Apply narrows a scope. object is where the value stands; empty if that is not
// known.
func (n Narrowing) Apply(scope seal.Scope, object string) (seal.Scope, error) {
	var problems []error
	narrow := func(what string, part *seal.Name, name string) {
		switch {
		case name == "" || !part.IsAny() && part.String() == name:
		case part.IsAny():
			*part = seal.Exact(name)
		default:
			problems = append(problems, fmt.Errorf("it is sealed for %s %q, and to seal it for %q would give it to others", what, part.String(), name))
		}
	}
	narrow("cluster", &scope.Cluster, n.Cluster)
	narrow("namespace", &scope.Namespace, n.Namespace)
	narrow("service account", &scope.ServiceAccount, n.ServiceAccount)
	if n.ExactObjects && scope.Object.IsAny() {
		if object == "" {
			problems = append(problems, errors.New("it opens as an object of any name, and the file, which is no class, does not say which object it belongs to"))
		}
		narrow("object", &scope.Object, object)
	}
	if !n.NotAfter.IsZero() && (scope.NotAfter.IsZero() || scope.NotAfter.After(n.NotAfter)) {
		scope.NotAfter = n.NotAfter
	}
	return scope, errors.Join(problems...)
}

// Moving is the workload that values are moved to. An empty field leaves that part as it
// is, and so does any a part that is any.
type Moving struct {
	Cluster        string
	Namespace      string
	ServiceAccount string
	// Objects gives each value the name of the object in whose place it stands.
	Objects bool
}

// Apply moves a scope. object is where the value stands; empty if that is not known.
func (m Moving) Apply(scope seal.Scope, object string) (seal.Scope, error) {
	move := func(part *seal.Name, name string) {
		if name != "" && !part.IsAny() {
			*part = seal.Exact(name)
		}
	}
	move(&scope.Cluster, m.Cluster)
	move(&scope.Namespace, m.Namespace)
	move(&scope.ServiceAccount, m.ServiceAccount)
	if m.Objects && object == "" && !scope.Object.IsAny() {
		return scope, errors.New("the file, which is no class, does not say which object it belongs to")
	}
	if m.Objects {
		move(&scope.Object, object)
	}
	return scope, scope.Validate()
}

// Note tells of the parts of a moved scope that are any, and are not what Moving says.
func (m Moving) Note(scope seal.Scope) string {
	var parts, flags []string
	stays := func(given, isAny bool, what, flag string) {
		if given && isAny {
			parts, flags = append(parts, "any "+what), append(flags, flag)
		}
	}
	stays(m.Cluster != "", scope.Cluster.IsAny(), "cluster", "--cluster")
	stays(m.Namespace != "", scope.Namespace.IsAny(), "namespace", "--namespace")
	stays(m.ServiceAccount != "", scope.ServiceAccount.IsAny(), "service account", "--service-account")
	stays(m.Objects, scope.Object.IsAny(), "object", "--exact-names")
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("is sealed for %s and stays so; lanyard reseal %s makes that exact", strings.Join(parts, " and "), strings.Join(flags, " "))
}

// same compares scopes as sealed values carry them, in whole seconds.
func same(a, b seal.Scope) bool {
	return a.Cluster == b.Cluster && a.Namespace == b.Namespace && a.ServiceAccount == b.ServiceAccount && a.Object == b.Object &&
		a.NotAfter.IsZero() == b.NotAfter.IsZero() && (a.NotAfter.IsZero() || a.NotAfter.Unix() == b.NotAfter.Unix())
}
