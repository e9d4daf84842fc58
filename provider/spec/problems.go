package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/internal/message"
)

// Problem is one thing that is wrong with a class or a configuration, said so
// that its author can find and fix it.
type Problem struct {
	// Field is the dotted place in the parameters, with indexes from zero:
	// "objects[2].mode", "stores.vault.auth.role". It may name a field that is
	// missing.
	Field string
	// Store is the name of the store that the problem is of, if it is one of
	// a store's settings or says that there is no such store.
	Store string
	// Line and Column are where Field stands in the text of the parameter, or
	// of the configuration file, counted from one; zero if that is not known.
	Line, Column int
	// Object is the place of the object in the class counted from one, or zero
	// if the problem is not of one object; ID is the object's, if it has one.
	Object int
	ID     string
	// Text says what is wrong and what would be right.
	Text string
}

// String is the problem in one line: `object 3 (db/password): mode: ...`. The
// line in the parameter is told where no object is there to find it by.
func (p Problem) String() string {
	var b strings.Builder
	field := p.Field
	if p.Object > 0 {
		fmt.Fprintf(&b, "object %d", p.Object)
		if p.ID != "" {
			fmt.Fprintf(&b, " (%s)", message.Printable(p.ID))
		}
		b.WriteString(": ")
		// Which list it is, the dialect knows; the number says enough.
		if list, rest, ok := strings.Cut(field, fmt.Sprintf("[%d]", p.Object-1)); ok && !strings.ContainsAny(list, ".[") {
			field = strings.TrimPrefix(rest, ".")
		}
	}
	if field != "" {
		b.WriteString(message.Printable(field))
		b.WriteString(": ")
	}
	if p.Object == 0 && p.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	b.WriteString(p.Text)
	return b.String()
}

// Problems are all that is wrong with a class or a configuration. As an error
// it means that one of them must be changed: trying again is of no use.
type Problems []Problem //nolint:errname // a list first, and an error when it is not empty

// Error lists the problems, the first twenty in full.
func (p Problems) Error() string {
	const maxShown = 20
	lines := make([]string, 0, min(len(p), maxShown)+1)
	for i, problem := range p {
		if i == maxShown {
			lines = append(lines, fmt.Sprintf("and %d more", len(p)-maxShown))
			break
		}
		lines = append(lines, problem.String())
	}
	return strings.Join(lines, "; ")
}

// Add returns the problems together with those of a later stage of checking. The
// later stage saw only what the earlier one could parse: its problems of an object
// or a parameter that was not parsed are left out, since they may be wrong.
func (p Problems) Add(later Problems) Problems {
	bad := make(map[int]bool, len(p))
	misread := map[string]bool{} // parameters that were not parsed
	for _, problem := range p {
		if problem.Object > 0 {
			bad[problem.Object] = true
		} else {
			misread[problem.Field] = true
		}
	}
	for _, problem := range later {
		if !bad[problem.Object] && !(problem.Object == 0 && misread[problem.Field]) {
			p = append(p, problem)
		}
	}
	slices.SortStableFunc(p, func(a, b Problem) int { return a.Object - b.Object })
	return p
}
