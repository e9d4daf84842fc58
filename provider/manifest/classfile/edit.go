package classfile

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// edit returns the file's lines with the entries in them.
func (f *File) edit(entries []Entry) ([]string, error) {
	key, parameters := lookupPair(f.spec, "parameters")
	if parameters == nil {
		provider, _ := lookupPair(f.spec, "provider")
		if f.spec.Style&yaml.FlowStyle != 0 {
			return nil, inBraces("spec")
		}
		return f.insertBelow(provider, provider.Column-1, newParameters(entries)), nil
	}
	if isEmpty(parameters) {
		return f.insertBelow(key, key.Column+1, newObjects(entries)), nil
	}
	if parameters.Kind != yaml.MappingNode || parameters.Style&yaml.FlowStyle != 0 {
		return nil, inBraces("spec.parameters")
	}
	key, objects := lookupPair(parameters, "objects")
	if objects == nil {
		above, _ := lookupPair(f.spec, "parameters")
		return f.insertBelow(above, parameters.Content[0].Column-1, newObjects(entries)), nil
	}
	if isEmpty(objects) {
		lines, ok := f.replaceAt(key.Line-1, key.Column-1, "objects:", "objects: |")
		if !ok {
			return nil, notLiteral()
		}
		return (&File{lines: lines}).insertBelow(key, key.Column+1, newEntries(entries)), nil
	}
	block, ok := f.literal(key, objects)
	if !ok {
		return nil, notLiteral()
	}
	list, err := parseList(objects.Value)
	if err != nil {
		return nil, err
	}
	fresh, changed, err := divide(list, entries)
	if err != nil {
		return nil, err
	}
	// From the end on, so that what is still to be changed stays in its line.
	edited := &File{lines: f.lines}
	if len(fresh) > 0 {
		edited.lines = f.append(block, list, fresh)
	}
	for _, one := range slices.Backward(changed) {
		if edited.lines, err = edited.replace(block, one.object, one.entry); err != nil {
			return nil, fmt.Errorf("object %s: %w", one.entry.id(), err)
		}
	}
	return edited.lines, nil
}

// block is where the text of a literal block scalar stands in the file.
type block struct {
	first  int // the line after the "|", counted from zero
	end    int // the line after the last that is not blank
	indent int // the columns before the text
}

// literal finds the block of a literal scalar. Its text has the same lines as
// the file from the block's first on, less the indent.
func (f *File) literal(key, value *yaml.Node) (block, bool) {
	if value.Kind != yaml.ScalarNode || value.Style&yaml.LiteralStyle == 0 || value.Line > len(f.lines) {
		return block{}, false
	}
	header, ok := cutColumns(f.lines[value.Line-1], value.Column-1)
	if !ok || !strings.HasPrefix(header, "|") {
		return block{}, false // a tag or an anchor stands before it
	}
	b := block{first: value.Line, end: value.Line, indent: -1}
	options, _, _ := strings.Cut(header[1:], "#")
	if digit := strings.Trim(strings.TrimSpace(options), "+-"); digit != "" {
		b.indent = key.Column - 1 + int(digit[0]-'0')
	}
	for i := b.first; i < len(f.lines); i++ {
		if strings.TrimSpace(f.lines[i]) == "" {
			continue
		}
		spaces := len(f.lines[i]) - len(strings.TrimLeft(f.lines[i], " "))
		if b.indent < 0 && spaces >= key.Column {
			b.indent = spaces
		}
		if b.indent < 0 || spaces < b.indent {
			break
		}
		b.end = i + 1
	}
	if b.indent < 0 {
		b.indent = key.Column + 1
	}
	return b, true
}

// append adds the entries as new objects after the last.
func (f *File) append(b block, list *yaml.Node, entries []Entry) []string {
	indent := b.indent
	if list != nil {
		indent += list.Column - 1
	}
	return insert(f.lines, b.end, indented(newEntries(entries), indent))
}

// replace puts the sealed text in the place of the one that the object has, or
// below the object's first field.
func (f *File) replace(b block, object *yaml.Node, entry Entry) ([]string, error) {
	key, value := lookupPair(object, "sealed")
	if key == nil {
		if object.Style&yaml.FlowStyle != 0 {
			return nil, inBraces("the object")
		}
		first, firstValue := object.Content[0], object.Content[1]
		if firstValue.Kind != yaml.ScalarNode || firstValue.Line != first.Line || firstValue.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
			return nil, errors.New("the object has no field sealed; write the line \"sealed:\" where it belongs")
		}
		line := "sealed: " + entry.Sealed
		return insert(f.lines, b.first+first.Line, indented([]string{line}, b.indent+first.Column-1)), nil
	}
	var ok bool
	var lines []string
	if isEmpty(value) {
		lines, ok = f.replaceAt(b.first+key.Line-1, b.indent+key.Column-1, "sealed:", "sealed: "+entry.Sealed)
	} else {
		old := value.Value
		switch {
		case value.Style&yaml.DoubleQuotedStyle != 0:
			old = `"` + old + `"`
		case value.Style&yaml.SingleQuotedStyle != 0:
			old = `'` + old + `'`
		}
		lines, ok = f.replaceAt(b.first+value.Line-1, b.indent+value.Column-1, old, entry.Sealed)
	}
	if !ok {
		return nil, errors.New("the object's sealed value is not written on one line; write \"sealed: \" and nothing after it, and try again")
	}
	return lines, nil
}

// replaceAt replaces old, which must stand at a line and column from zero.
func (f *File) replaceAt(line, column int, old, replacement string) ([]string, bool) {
	if line >= len(f.lines) {
		return nil, false
	}
	rest, ok := cutColumns(f.lines[line], column)
	if !ok || !strings.HasPrefix(rest, old) {
		return nil, false
	}
	lines := slices.Clone(f.lines)
	lines[line] = strings.TrimSuffix(f.lines[line], rest) + replacement + strings.TrimPrefix(rest, old)
	return lines, true
}

// insertBelow puts the text below the line of a key.
func (f *File) insertBelow(key *yaml.Node, indent int, text []string) []string {
	return insert(f.lines, key.Line, indented(text, indent))
}

// insert puts the text before line at, with the line ends that the file has.
func insert(lines []string, at int, text []string) []string {
	// YAML knows more line ends than "\n", and can count lines beyond the last.
	at = min(at, len(lines))
	newline := "\n"
	if at > 0 && strings.HasSuffix(lines[at-1], "\r\n") {
		newline = "\r\n"
	}
	added := make([]string, len(text))
	for i, line := range text {
		added[i] = line + newline
	}
	lines = slices.Clone(lines)
	if at > 0 && !strings.HasSuffix(lines[at-1], "\n") {
		lines[at-1] += newline
	}
	return slices.Insert(lines, at, added...)
}

func indented(text []string, indent int) []string {
	out := make([]string, len(text))
	for i, line := range text {
		out[i] = strings.Repeat(" ", indent) + line
	}
	return out
}

// cutColumns cuts a number of characters, which is what YAML counts, off the
// line's front.
func cutColumns(line string, columns int) (string, bool) {
	for i := range line {
		if columns == 0 {
			return line[i:], true
		}
		columns--
	}
	return "", columns == 0
}

// isEmpty is true for a field with nothing after its colon.
func isEmpty(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.Tag == "!!null" && node.Value == ""
}

func inBraces(what string) error {
	return fmt.Errorf("%s is not written as a block; write one field on each line instead of {...}", what)
}

func notLiteral() error {
	return errors.New(`spec.parameters.objects is not a literal block; write "objects: |" and the list below it`)
}
