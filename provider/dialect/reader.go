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
	"iter"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// Reader collects the problems of a class's parameters. Its zero value is ready, and
// strict.
type Reader struct {
	// Original is how the decoder of the provider whose dialect it is takes what its own
	// does not know: what has no effect there is Idle here. Nil refuses it.
	Original *strict.Tolerant
	// Idle is what the class says to no effect; Ignored adds to it.
	Idle spec.Problems

	expanded int // what the aliases of the class stand for

	problems spec.Problems
	misread  map[int]bool // entries of which something could not be decoded
	empty    map[int]bool // entries that say nothing
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
	r.Ignored(spec.Problem{Field: parameter, Text: why})
}

// maxIdle bounds what is told of a class: each part of it takes many times its own text.
const maxIdle = 1000

// Ignored adds to Idle what has no effect, with its place, until there is too much.
func (r *Reader) Ignored(problem spec.Problem) {
	if len(r.Idle) < maxIdle {
		r.Idle = append(r.Idle, problem)
	}
}

// Add adds a problem with a place.
func (r *Reader) Add(problem spec.Problem) { r.problems = append(r.problems, problem) }

// maxUnknown is how many unknown parameters are told of by their names.
const maxUnknown = 100

// Unknown tells of unknown parameters and suggests the nearest known one.
func (r *Reader) Unknown(parameters map[string]string, known []string) {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(parameters)), func(name string) bool { return slices.Contains(known, name) })
	for i, name := range names {
		what, suggested := "parameter", known
		if r.Original != nil {
			what = "parameter, which has no effect"
		}
		if i == maxUnknown {
			what, suggested = fmt.Sprintf("%s; so are %d more", what, len(names)-i-1), nil
		}
		text := strict.Unknown(what, name, suggested)
		if r.Original != nil {
			r.NoEffect(name, text)
		} else {
			r.Wrong(name, "%s", text)
		}
		if i == maxUnknown {
			return
		}
	}
}

// Decode decodes YAML into what into points to, tolerantly if the original does.
func (r *Reader) Decode(text string, into any) (problems, ignored strict.Problems) {
	if r.Original == nil {
		return strict.Unmarshal([]byte(text), into), nil
	}
	original := *r.Original
	original.Quiet, original.Expanded = len(r.Idle) >= maxIdle, &r.expanded
	return original.Unmarshal([]byte(text), into)
}

// YAML decodes a parameter's text into what into points to, as Decode does.
// For a list of objects, id returns the name of a decoded entry for messages;
// otherwise it is nil.
func (r *Reader) YAML(parameter, text string, into any, id func(index int) string) {
	problems, ignored := r.Decode(text, into)
	placed := func(s strict.Problem) (problem spec.Problem, entry int) {
		field := parameter
		switch {
		case strings.HasPrefix(s.Field, "["):
			field += s.Field
		case s.Field != "":
			field += "." + s.Field
		}
		problem = spec.Problem{Field: field, Line: s.Line, Column: s.Column, Text: s.Text}
		if entry = entryIndex(s.Field); entry >= 0 && id != nil {
			problem.Object, problem.ID = entry+1, id(entry)
		}
		return problem, entry
	}
	for _, s := range problems {
		problem, entry := placed(s)
		if problem.Object > 0 {
			r.misread = marked(r.misread, entry)
		}
		r.problems = append(r.problems, problem)
	}
	for _, s := range ignored {
		problem, entry := placed(s)
		if s.Text == strict.EmptyItem && s.Field == fmt.Sprintf("[%d]", entry) {
			r.empty = marked(r.empty, entry)
		}
		r.Ignored(problem)
	}
}

func marked(entries map[int]bool, entry int) map[int]bool {
	if entries == nil {
		entries = map[int]bool{}
	}
	entries[entry] = true
	return entries
}

// Entries decodes the parameter that lists what the volume is to hold, and returns the
// entries with their indexes, without those that say nothing. id is what messages call an
// entry.
func Entries[E any](r *Reader, parameters map[string]string, parameter string, id func(E) string) iter.Seq2[int, E] {
	var list []E
	if text, ok := parameters[parameter]; ok {
		r.YAML(parameter, text, &list, func(i int) string {
			if i >= len(list) {
				return ""
			}
			return id(list[i])
		})
	} else {
		r.Wrong(parameter, "missing; list what the volume is to hold")
	}
	return func(yield func(int, E) bool) {
		for i, e := range list {
			if !r.empty[i] && !yield(i, e) {
				return
			}
		}
	}
}

// LastCounts returns the objects without those whose file a later one makes again, as the
// originals write one file over the other. parameter is the list and field the file's name
// in an entry.
func (r *Reader) LastCounts(parameter, field string, objects []spec.Object) []spec.Object {
	last := map[string]int{}
	for i, o := range objects {
		last[path.Clean(o.Path)] = i
	}
	counted := make([]spec.Object, 0, len(objects))
	for i, o := range objects {
		if winner := last[path.Clean(o.Path)]; o.Path != "" && winner != i {
			r.Ignored(InEntry(parameter, o.Entry-1, o.ID(), field, fmt.Sprintf("has no effect: object %d makes the same file", objects[winner].Entry)))
			continue
		}
		counted = append(counted, o)
	}
	return counted
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
