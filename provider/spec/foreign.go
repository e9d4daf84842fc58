package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// unknownField begins the text of every problem with a name that a dialect does not
// know.
const unknownField = "unknown "

// Another returns the one problem of parameters that are those of another dialect than
// the one called name, which found the problems: the other knows every name that this
// one does not. It returns nil for all else. A class that was copied, or whose provider
// was changed by hand, has a problem with each field, and none of them is the one to
// mend.
func Another(dialects map[string]Dialect, name string, parameters map[string]string, found Problems) Problems {
	if found.unknown() == 0 {
		return nil
	}
	for _, other := range slices.Sorted(maps.Keys(dialects)) {
		if other == name {
			continue
		}
		var problems Problems
		class, err := dialects[other](parameters)
		if err != nil {
			problems, _ = err.(Problems) //nolint:errorlint // a dialect's error is a Problems
		}
		if class != nil && len(class.Objects) > 0 && problems.unknown() == 0 && !slices.ContainsFunc(problems, misread) {
			return Problems{{Text: fmt.Sprintf("these parameters are of provider: %s and not of provider: %s; set the provider of the class, and convert it with lanyard convert if it is to be of another", other, name)}}
		}
	}
	return nil
}

// unknown counts the problems with names that the dialect does not know.
func (p Problems) unknown() int {
	n := 0
	for _, problem := range p {
		if strings.HasPrefix(problem.Text, unknownField) {
			n++
		}
	}
	return n
}

// misread says that a field has another form than the dialect's.
func misread(p Problem) bool {
	return strings.HasPrefix(p.Text, "must be a map") || strings.HasPrefix(p.Text, "must be a list") || strings.HasPrefix(p.Text, "must be text")
}
