// Package strict decodes YAML into structs and refuses what the structs do not
// know. It reports every problem at once, with its line and the dotted name of
// its field, in words for the person who wrote the YAML.
//
// It is stricter than YAML where YAML surprises people or costs a server more
// than it gives: one document only; no aliases, merge keys or tags; no field
// given twice; text that YAML takes for a number keeps its exact spelling or is
// refused, never changed. It never repeats a value in a problem, because a
// value may be a secret. It does not say what values mean: that is its
// callers' to check.
//
// Start with Unmarshal; Tolerant is for documents that were written for other programs.
package strict

import (
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Problem is one thing that is wrong with a document.
type Problem struct {
	// Line and Column are where it stands, counted from one; zero if that is
	// not known. Column counts characters.
	Line, Column int
	// Field is the dotted place: "stores.vault.address", "objects[2].mode".
	Field string
	// Text says what is wrong and what would be right. It quotes field names,
	// never values, because a value may be a secret.
	Text string

	// unread says that the decoder could not read the field.
	unread bool
	// meant is the field that an unknown one was probably meant to be.
	meant string
}

// String is the problem without its line: "stores.vault.addresss: unknown field; did you mean address?".
func (p Problem) String() string {
	if p.Field == "" {
		return p.Text
	}
	return p.Field + ": " + p.Text
}

// Problems are all that is wrong with a document, in its order; of more than
// a hundred the first hundred, and one that says so.
type Problems []Problem //nolint:errname // a list first, and an error when it is not empty

// Add adds a problem with a field, unless the problems of decoding Explain it.
func (p *Problems) Add(field, format string, args ...any) {
	if p.Explain(field) {
		return
	}
	*p = append(*p, Problem{Field: field, Text: fmt.Sprintf(format, args...)})
}

// With returns the problems and those of later that they do not Explain.
func (p Problems) With(later Problems) Problems {
	for _, problem := range later {
		if !p.Explain(problem.Field) {
			p = append(p, problem)
		}
	}
	return p
}

// Explain says whether a field may be missing or wrong only because it could not be
// decoded, or what it lies in, a part of it, or a field of another name that was meant to
// be one of them: what else is wrong with it cannot be told yet.
func (p Problems) Explain(field string) bool {
	explains := func(unread string) bool { return within(field, unread) || within(unread, field) }
	for i := range p {
		if !p[i].unread {
			return false // the problems of decoding, which are few, come first
		}
		if explains(p[i].Field) || p[i].meant != "" && explains(p[i].meant) {
			return true
		}
	}
	return false
}

// within says whether the field is of, or lies in it; everything lies in the document.
func within(field, of string) bool {
	rest, ok := strings.CutPrefix(field, of)
	return ok && (of == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}

// Error lists all problems, each with its line where that is known.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
		if problem.Line > 0 {
			lines[i] = fmt.Sprintf("line %d: %s", problem.Line, lines[i])
		}
	}
	return strings.Join(lines, "; ")
}

// In lists all problems as compilers do, one on each line:
// "ring.yaml:12: keys[0].state: must be write, read or retired".
func (p Problems) In(file string) string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = file + ": " + problem.String()
		if problem.Line > 0 {
			lines[i] = fmt.Sprintf("%s:%d: %s", file, problem.Line, problem)
		}
	}
	return strings.Join(lines, "\n")
}

// Unmarshal decodes the one document in data into what into points to: a
// struct, map or list. What the document leaves out
// keeps what it holds, so that into may carry defaults; an empty document
// leaves out everything. If there are problems, into holds what could be decoded.
//
// The fields of structs are those with a yaml tag; an inline map[string]any
// takes the fields that its struct does not know. A type that implements
// yaml.Unmarshaler decodes itself and must not repeat the value in its error,
// which may be a Problems.
func Unmarshal(data []byte, into any) Problems {
	var d decoder
	d.document(data, into)
	return d.problems
}

// document decodes the document in data that counts.
func (d *decoder) document(data []byte, into any) {
	root, problem := d.parse(data)
	switch {
	case problem != nil:
		d.add(*problem)
	case root != nil:
		d.decode(root, into)
	}
}

// Decode is Unmarshal for a node of a document that has been parsed already.
func Decode(node *yaml.Node, into any) Problems {
	if node.Kind == yaml.DocumentNode {
		if len(node.Content) != 1 {
			return nil
		}
		node = node.Content[0]
	}
	var d decoder
	d.decode(node, into)
	return d.problems
}

func (d *decoder) decode(node *yaml.Node, into any) {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		d.add(Problem{Text: fmt.Sprintf("cannot be decoded into a %T", into)})
		return
	}
	d.fields = map[reflect.Type]structFields{}
	d.value(node, target.Elem(), &place{node: node})
}

// DecodeMap decodes fields, as a YAML or JSON decoder made them, into the
// struct that into points to. The problems have no lines.
func DecodeMap(fields map[string]any, into any) Problems {
	node, problem := nodeOf(reflect.ValueOf(fields), 0)
	if problem != "" {
		return Problems{{Text: problem, unread: true}}
	}
	return Decode(node, into)
}
