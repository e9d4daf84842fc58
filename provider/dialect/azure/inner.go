package azure

import (
	"errors"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/internal/strict"
)

// inner is the YAML text of one object inside the YAML of the parameter.
type inner struct {
	value        string
	line, column int  // of the text in the parameter
	literal      bool // it stands below a |, line by line
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (t *inner) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.ScalarNode {
		return errors.New("must be text that holds the object's fields; put a | after the dash")
	}
	*t = inner{value: node.Value, line: node.Line, column: node.Column, literal: node.Style == yaml.LiteralStyle}
	return nil
}

// find returns a field's place in the text; the start of the text if it is missing.
func (t inner) find(field string) (line, column int) {
	document, err := strict.Next(yaml.NewDecoder(strings.NewReader(t.value)))
	if err != nil || len(document.Content) != 1 {
		return 1, 1
	}
	at, _, _ := strict.Find(document.Content[0], field)
	return at.Line, at.Column
}

// outside converts a place in the text to one in the parameter, whose lines are
// lines: exactly for a literal text, otherwise the start of the text.
func (t inner) outside(lines []string, line, column int) (outerLine, outerColumn int) {
	if !t.literal || line < 1 || t.line+line > len(lines) {
		return t.line, t.column
	}
	// The first line that is not blank has the indentation of all.
	indent := 0
	for _, text := range lines[t.line:] {
		if trimmed := strings.TrimLeft(text, " "); trimmed != "" {
			indent = len(text) - len(trimmed)
			break
		}
	}
	return t.line + line, max(column, 1) + indent
}
