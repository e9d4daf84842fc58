package classfile

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/provider/dialect"
	"github.com/lanyardhq/lanyard/provider/manifest"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// Pin returns a text of any number of YAML documents in which the class that is called
// name, or with an empty name the only one, names another version of the objects that
// are made of one entry of its list, counted from zero; with an empty version, the
// current one. parse is the class's dialect, and how says how its classes name versions.
func Pin(text []byte, name string, parse spec.Dialect, how dialect.Pin, entry int, version string) ([]byte, error) {
	if version != "" && !dialect.IsVersion(version) {
		return nil, errors.New("the version is none of any store")
	}
	f, err := open(text, name)
	if err != nil {
		return nil, err
	}
	node, _, err := f.entryOf(how, entry)
	if err != nil {
		return nil, err
	}
	edits, err := how.Edits(func(field string) string { return scalar(valueOf(node, field)) }, version)
	if err != nil {
		return nil, err
	}
	edited := f
	for _, edit := range edits {
		// Each edit moves the lines that the next one looks for.
		node, place, err := edited.entryOf(how, entry)
		if err != nil {
			return nil, err
		}
		lines, err := edited.setField(place, node, edit)
		if err != nil {
			return nil, err
		}
		if edited, err = open([]byte(strings.Join(lines, "")), name); err != nil {
			return nil, errOtherParts
		}
	}
	if err := f.verifyPin(edited, parse, how, entry, version, edits); err != nil {
		return nil, err
	}
	return edited.Data(), nil
}

var errOtherParts = errors.New("the version cannot be written into this file without changing other parts; write it by hand")

// open finds a class of any dialect.
func open(text []byte, name string) (*File, error) {
	documents, err := manifest.Documents(text)
	if err != nil {
		return nil, err
	}
	classes := manifest.Classes(documents)
	chosen, err := manifest.Choose(classes, name)
	if err != nil {
		return nil, err
	}
	return newFile(text, classes[chosen], chosen)
}

// entryOf is the node of an entry in the list of objects, and the block of the text that
// its lines and columns count in.
func (f *File) entryOf(how dialect.Pin, entry int) (*yaml.Node, block, error) {
	notBlock := fmt.Errorf(`spec.parameters.%s is not a literal block; write "%s: |" and the list below it`, how.Parameter, how.Parameter)
	key, value := lookupPair(lookup(f.spec, "parameters"), how.Parameter)
	if value == nil {
		return nil, block{}, fmt.Errorf("spec.parameters.%s is missing", how.Parameter)
	}
	place, ok := f.literal(key, value)
	if !ok {
		return nil, block{}, notBlock
	}
	list, err := document(value.Value)
	if err != nil {
		return nil, block{}, fmt.Errorf("%s: %w", how.Parameter, err)
	}
	if how.Array != "" {
		list = lookup(list, how.Array)
	}
	if list == nil || list.Kind != yaml.SequenceNode || entry >= len(list.Content) {
		return nil, block{}, fmt.Errorf("spec.parameters.%s is not a list that has the object", how.Parameter)
	}
	node := list.Content[entry]
	if how.Array != "" {
		if node.Kind != yaml.ScalarNode || node.Style&yaml.LiteralStyle == 0 {
			return nil, block{}, fmt.Errorf(`entry %d of %s is not a literal block; write "- |" and its fields below`, entry+1, how.Array)
		}
		place = f.within(place, node)
		if node, err = document(node.Value); err != nil {
			return nil, block{}, fmt.Errorf("entry %d of %s: %w", entry+1, how.Array, err)
		}
	}
	if node == nil || node.Kind != yaml.MappingNode {
		return nil, block{}, fmt.Errorf("entry %d of spec.parameters.%s is no map of fields", entry+1, how.Parameter)
	}
	return node, place, nil
}

// document is the node of the only document in a text; nil if it is empty.
func document(text string) (*yaml.Node, error) {
	documents, err := manifest.Documents([]byte(text))
	if err != nil || len(documents) == 0 || len(documents[0].Content) == 0 {
		return nil, err
	}
	return documents[0].Content[0], nil
}

// within is the block of a literal text inside the text of a block.
func (f *File) within(outer block, node *yaml.Node) block {
	inner := block{first: outer.first + node.Line, end: outer.end, indent: outer.indent}
	for i := inner.first; i < min(inner.end, len(f.lines)); i++ {
		line := f.lines[i]
		if text := strings.TrimLeft(line, " "); strings.TrimSpace(text) != "" {
			inner.indent = len(line) - len(text)
			break
		}
	}
	return inner
}

// valueOf is the value of a field by its dotted name.
func valueOf(node *yaml.Node, field string) *yaml.Node {
	for name := range strings.SplitSeq(field, ".") {
		node = lookup(node, name)
	}
	return node
}

// setField writes one field of an entry.
func (f *File) setField(b block, entry *yaml.Node, edit dialect.FieldEdit) ([]string, error) {
	parent, name := entry, edit.Field
	if at := strings.LastIndex(edit.Field, "."); at >= 0 {
		parent, name = valueOf(entry, edit.Field[:at]), edit.Field[at+1:]
	}
	key, value := lookupPair(parent, name)
	switch {
	case parent == nil || parent.Kind != yaml.MappingNode || len(parent.Content) < 2:
		return nil, fmt.Errorf("%s cannot be written; the object has no fields beside it", edit.Field)
	case key == nil && edit.Text == "":
		return f.lines, nil
	case key == nil:
		return f.addField(b, parent, name, edit)
	case edit.Text == "" && isAdded(parent, key, value, edit.After):
		return f.removeField(b, parent, key, value)
	}
	return f.replaceField(b, key, value, edit)
}

// quoted is a text as the value of a field that pins.
func quoted(text string) string { return strconv.Quote(text) }

// addField adds a field below the one that it belongs to, or within braces in front.
func (f *File) addField(b block, parent *yaml.Node, name string, edit dialect.FieldEdit) ([]string, error) {
	line := name + ": " + quoted(edit.Text)
	if parent.Style&yaml.FlowStyle != 0 {
		lines, ok := f.replaceAt(b.first+parent.Line-1, b.indent+parent.Column-1, "{", "{"+line+", ")
		if !ok {
			return nil, errOtherParts
		}
		return lines, nil
	}
	after, text := lookupPair(parent, edit.After)
	if after == nil {
		after, text = parent.Content[0], parent.Content[1]
	}
	if text.Kind != yaml.ScalarNode || text.Line != after.Line || text.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return nil, fmt.Errorf("%s is not written on one line; write the line \"%s: ''\" where it belongs, and try again", after.Value, name)
	}
	return insert(f.lines, b.first+after.Line, indented([]string{line}, b.indent+after.Column-1)), nil
}

// isAdded says whether a field stands where addField puts it. Elsewhere, and where it has
// a comment, somebody put it, and it is emptied and stays.
func isAdded(parent, key, value *yaml.Node, after string) bool {
	if key.LineComment != "" || value.LineComment != "" || key.HeadComment != "" || value.Kind != yaml.ScalarNode || value.Line != key.Line || value.Style&yaml.DoubleQuotedStyle == 0 {
		return false
	}
	at := slices.Index(parent.Content, key)
	if parent.Style&yaml.FlowStyle != 0 {
		return at == 0 && len(parent.Content) > 2
	}
	return at >= 2 && (parent.Content[at-2].Value == after || lookup(parent, after) == nil && at == 2)
}

// removeField removes a field that addField has added.
func (f *File) removeField(b block, parent, key, value *yaml.Node) ([]string, error) {
	line := b.first + key.Line - 1
	if parent.Style&yaml.FlowStyle != 0 {
		lines, ok := f.replaceAt(line, b.indent+key.Column-1, key.Value+": "+quoted(value.Value)+", ", "")
		if !ok {
			return f.replaceField(b, key, value, dialect.FieldEdit{Field: key.Value})
		}
		return lines, nil
	}
	if line >= len(f.lines) { // YAML knows more line ends than "\n"
		return nil, errOtherParts
	}
	return slices.Delete(slices.Clone(f.lines), line, line+1), nil
}

// replaceField writes another text in the place of a field's.
func (f *File) replaceField(b block, key, value *yaml.Node, edit dialect.FieldEdit) ([]string, error) {
	oneLine := fmt.Errorf("%s is not written on one line; write it so, and try again", edit.Field)
	if value.Kind != yaml.ScalarNode {
		return nil, fmt.Errorf("%s is no text", edit.Field)
	}
	if isEmpty(value) {
		lines, ok := f.replaceAt(b.first+key.Line-1, b.indent+key.Column-1, key.Value+":", key.Value+": "+quoted(edit.Text))
		if !ok {
			return nil, oneLine
		}
		return lines, nil
	}
	before, after := value.Value, edit.Text
	switch {
	case value.Style&yaml.DoubleQuotedStyle != 0:
		before, after = `"`+before+`"`, quoted(after)
	case value.Style&yaml.SingleQuotedStyle != 0:
		before, after = "'"+before+"'", "'"+after+"'"
	case value.Tag != "!!str" || plain(after) != after:
		after = quoted(after)
	}
	lines, ok := f.replaceAt(b.first+value.Line-1, b.indent+value.Column-1, before, after)
	if !ok {
		return nil, oneLine
	}
	return lines, nil
}

// verifyPin makes sure that the edit changed what the entry's objects name and nothing
// else, by what the YAML and the dialect make of it.
func (f *File) verifyPin(edited *File, parse spec.Dialect, how dialect.Pin, entry int, version string, edits []dialect.FieldEdit) error {
	before, ok := f.meaning(parse, how)
	after, okAfter := edited.meaning(parse, how)
	if !ok || !okAfter || entry >= len(before.entries) || entry >= len(after.entries) {
		return errOtherParts
	}
	for _, edit := range edits {
		forgetField(before.entries[entry], edit.Field)
		forgetField(after.entries[entry], edit.Field)
	}
	if !reflect.DeepEqual(before.documents, after.documents) || !reflect.DeepEqual(before.entries, after.entries) {
		return errOtherParts
	}
	found := false
	for i, o := range after.class.Objects {
		if after.class.Number(i) == entry+1 {
			if found = how.NamedBy(o) == version; !found {
				return errOtherParts
			}
		}
	}
	if !found {
		return errOtherParts
	}
	return nil
}

// forgetField removes a field by its dotted name.
func forgetField(entry any, name string) {
	first, rest, nested := strings.Cut(name, ".")
	fields, ok := entry.(map[string]any)
	switch {
	case !ok:
	case nested:
		forgetField(fields[first], rest)
	default:
		delete(fields, first)
	}
}

// meaning is what a file says: its documents without the list of objects, the entries of
// that list, and what the dialect makes of the class.
type meaning struct {
	documents, entries []any
	class              *spec.Class
}

func (f *File) meaning(parse spec.Dialect, how dialect.Pin) (m meaning, ok bool) {
	documents, err := manifest.Documents(f.Data())
	classes := manifest.Classes(documents)
	if err != nil || f.index >= len(classes) {
		return m, false
	}
	parameters, err := classes[f.index].Parameters()
	if err != nil {
		return m, false
	}
	if m.class, err = parse(parameters); err != nil {
		return m, false
	}
	list, err := document(parameters[how.Parameter])
	if err == nil && how.Array != "" {
		list = lookup(list, how.Array)
	}
	if err != nil || list == nil || list.Decode(&m.entries) != nil {
		return m, false
	}
	for i, entry := range m.entries {
		if text, is := entry.(string); is && how.Array != "" {
			var fields any
			if yaml.Unmarshal([]byte(text), &fields) != nil {
				return m, false
			}
			m.entries[i] = fields
		}
	}
	remove(lookup(lookup(classes[f.index].Root, "spec"), "parameters"), how.Parameter)
	m.documents = make([]any, len(documents))
	for i, node := range documents {
		if node.Decode(&m.documents[i]) != nil {
			return m, false
		}
	}
	return m, true
}
