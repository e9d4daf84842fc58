// Package strict decodes YAML into structs and refuses what the structs do not
// know. It reports every problem at once, with its line and the dotted name of
// its field, in words for the person who wrote the YAML.
package strict

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Problem is one thing that is wrong with a document.
type Problem struct {
	// Line is where it stands, counted from one; zero if that is not known.
	Line int
	// Field is the dotted place: "stores.vault.address", "objects[2].mode".
	Field string
	// Text says what is wrong and what would be right. It quotes field names,
	// never values, because a value may be a secret.
	Text string
}

// String is the problem without its line: "stores.vault.adress: unknown field; did you mean address?".
func (p Problem) String() string {
	if p.Field == "" {
		return p.Text
	}
	return p.Field + ": " + p.Text
}

// Problems are all that is wrong with a document.
type Problems []Problem

// Error lists all problems.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "; ")
}

// Unmarshal decodes the one document in data into the struct that into points
// to. The error is a Problems. Fields that the document leaves out keep what
// they hold, so that into may carry defaults.
func Unmarshal(data []byte, into any) error {
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		var types *yaml.TypeError
		if errors.As(err, &types) {
			var problems Problems
			for _, text := range types.Errors {
				problems = append(problems, Problem{Text: text})
			}
			return problems
		}
		return Problems{{Text: err.Error()}}
	}
	return nil
}

// DecodeMap decodes fields, as a YAML or JSON decoder made them, into the
// struct that into points to. The error is a Problems without lines.
func DecodeMap(fields map[string]any, into any) error {
	data, err := yaml.Marshal(fields)
	if err != nil {
		return Problems{{Text: fmt.Sprintf("cannot be read as YAML: %v", err)}}
	}
	return Unmarshal(data, into)
}
