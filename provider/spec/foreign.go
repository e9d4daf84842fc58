package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// unknownField begins the text about every name that a dialect does not know, be it a
// problem or without effect.
const unknownField = "unknown "

// ofAnother begins the one problem of parameters that are those of another dialect.
const ofAnother = "these parameters are of provider: "

// Another returns the one problem of parameters that are those of another dialect than
// the one called name, which found the problems and what has no effect: the other knows
// every name that this one does not. It returns nil for all else. A class that was copied, or whose provider
// was changed by hand, has a problem with each field, and none of them is the one to
// fix.
func Another(dialects map[string]Dialect, name string, parameters map[string]string, found Problems) Problems {
	if found.unknown() == 0 {
		return nil
	}
	var fitting []string
	for _, other := range slices.Sorted(maps.Keys(dialects)) {
		if other == name {
			continue
		}
		var problems Problems
		class, err := dialects[other](parameters)
		if err != nil {
			problems, _ = err.(Problems) //nolint:errorlint // a dialect's error is a Problems
		}
		if class != nil && len(class.Objects) > 0 && problems.unknown()+class.Idle.unknown() == 0 && !slices.ContainsFunc(problems, misread) {
			fitting = append(fitting, other)
		}
	}
	if len(fitting) == 0 {
		return nil
	}
	return Problems{{Text: fmt.Sprintf("these parameters are of provider: %s and not of provider: %s; set the provider of the class, and convert it with lanyard convert if it is to be of another", strings.Join(fitting, " or "), name)}}
}

// OfAnother says that the problem is that of Another, beside which nothing that has no
// effect is to be told.
func (p Problems) OfAnother() bool { return len(p) == 1 && strings.HasPrefix(p[0].Text, ofAnother) }

// unknown counts the names that the dialect does not know.
func (p Problems) unknown() int { return len(p.Unknown()) }

// Unknown are those of names that the dialect does not know. What is missing from a class
// may stand under one of them.
func (p Problems) Unknown() Problems {
	return slices.DeleteFunc(slices.Clone(p), func(problem Problem) bool { return !strings.HasPrefix(problem.Text, unknownField) })
}

// misread says that a field has another form than the dialect's.
func misread(p Problem) bool {
	return strings.HasPrefix(p.Text, "must be a map") || strings.HasPrefix(p.Text, "must be a list") || strings.HasPrefix(p.Text, "must be text")
}
