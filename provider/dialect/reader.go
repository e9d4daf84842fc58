// Package dialect is shared by the dialects below it: it reads the parameters of a
// SecretProviderClass and collects their problems, each with its place. A dialect
// turns parameters into a spec.Class and knows neither stores nor the operator's
// configuration.
//
// To add one: a package with Name and Parse, one line in cmd, one page in docs
// that has every parameter and field. Start with Reader.
package dialect

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// Reader collects the problems of a class's parameters. Its zero value is ready.
type Reader struct {
	// Idle are the fields that the original accepts and ignores.
	Idle spec.Problems

	problems spec.Problems
	misread  map[int]bool // entries of which something could not be decoded
}

// Wrong adds a problem with a parameter.
func (r *Reader) Wrong(parameter, format string, args ...any) {
	r.problems = append(r.problems, spec.Problem{Field: parameter, Text: fmt.Sprintf(format, args...)})
}

// WrongIn adds a problem as InEntry makes it.
func (r *Reader) WrongIn(list string, index int, id, field, format string, args ...any) {
	r.Add(InEntry(list, index, id, field, fmt.Sprintf(format, args...)))
}

// InEntry is a problem with a field of an entry in a parameter's list. index counts
// from zero, id names the entry in messages, and an empty field means the entry
// itself.
func InEntry(list string, index int, id, field, text string) spec.Problem {
	place := fmt.Sprintf("%s[%d]", list, index)
	if field != "" {
		place += "." + field
	}
	return spec.Problem{Field: place, Object: index + 1, ID: id, Text: text}
}

// NoEffect adds a parameter to Idle.
func (r *Reader) NoEffect(parameter, why string) {
	r.Idle = append(r.Idle, spec.Problem{Field: parameter, Text: why})
}

// Add adds a problem with a place.
func (r *Reader) Add(problem spec.Problem) { r.problems = append(r.problems, problem) }

// Unknown refuses unknown parameters and suggests the nearest known one.
func (r *Reader) Unknown(parameters map[string]string, known []string) {
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		if !slices.Contains(known, name) {
			r.Wrong(name, "%s", strict.Unknown("parameter", name, known))
		}
	}
}

// YAML decodes a parameter's text into what into points to, as strict.Unmarshal does.
// For a list of objects, id returns the name of a decoded entry for messages;
// otherwise it is nil.
func (r *Reader) YAML(parameter, text string, into any, id func(index int) string) {
	for _, s := range strict.Unmarshal([]byte(text), into) {
		field := parameter
		switch {
		case strings.HasPrefix(s.Field, "["):
			field += s.Field
		case s.Field != "":
			field += "." + s.Field
		}
		problem := spec.Problem{Field: field, Line: s.Line, Column: s.Column, Text: s.Text}
		if i := entryIndex(s.Field); i >= 0 && id != nil {
			problem.Object, problem.ID = i+1, id(i)
			if r.misread == nil {
				r.misread = map[int]bool{}
			}
			r.misread[i] = true
		}
		r.problems = append(r.problems, problem)
	}
}

// Entries decodes the parameter that lists what the volume is to hold. id is what
// messages call an entry.
func Entries[E any](r *Reader, parameters map[string]string, parameter string, id func(E) string) (list []E) {
	text, ok := parameters[parameter]
	if !ok {
		r.Wrong(parameter, "missing; list what the volume is to hold")
		return nil
	}
	r.YAML(parameter, text, &list, func(i int) string {
		if i >= len(list) {
			return ""
		}
		return id(list[i])
	})
	return list
}

// Misread reports whether part of the entry could not be decoded, so that a field
// that seems missing may be there.
func (r *Reader) Misread(index int) bool { return r.misread[index] }

// Err returns all problems as spec.Problems in the order of the entries, or nil.
func (r *Reader) Err() error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b spec.Problem) int { return a.Object - b.Object })
	return r.problems
}

// entryIndex returns the index at the start of a field, or -1.
func entryIndex(field string) int {
	text, _, ok := strings.Cut(strings.TrimPrefix(field, "["), "]")
	if !ok || !strings.HasPrefix(field, "[") {
		return -1
	}
	i, err := strconv.Atoi(text)
	if err != nil {
		return -1
	}
	return i
}
