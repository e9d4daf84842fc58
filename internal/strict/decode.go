package strict

import (
	"errors"
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v3"
)

const (
	wantMap   = "must be a map of fields"
	wantList  = "must be a list; begin each item with a dash"
	wantText  = "must be text"
	wantValue = "has no value; give one, or remove the field"
)

// decoder walks the nodes of one document along the types of its target.
type decoder struct {
	tolerant *Tolerant // nil for strict decoding
	problems Problems
	ignored  Problems
	fields   map[reflect.Type]structFields
}

// value decodes node into target.
func (d *decoder) value(node *yaml.Node, target reflect.Value, at *place) {
	if d.full() || !d.plain(node, at) {
		return
	}
	if reflect.PointerTo(target.Type()).Implements(reflect.TypeFor[yaml.Unmarshaler]()) {
		d.unmarshaler(node, target, at)
		return
	}
	switch target.Kind() {
	case reflect.Pointer:
		// Nothing said about an optional part leaves it out.
		if isNull(node) {
			return
		}
		if !target.IsNil() {
			d.value(node, target.Elem(), at)
			return
		}
		before, fresh := len(d.problems), reflect.New(target.Type().Elem())
		if d.value(node, fresh.Elem(), at); len(d.problems) == before {
			target.Set(fresh)
		}
	case reflect.Struct:
		d.structure(node, target, at)
	case reflect.Map:
		d.mapping(node, target, at)
	case reflect.Slice:
		d.list(node, target, at)
	case reflect.Interface:
		if v := d.free(node, at); v != nil && target.NumMethod() == 0 {
			target.Set(reflect.ValueOf(v))
		}
	default:
		d.scalar(node, target, at)
	}
}

// plain refuses what YAML can say that is not simply a map, list or scalar.
func (d *decoder) plain(node *yaml.Node, at *place) bool {
	switch {
	case at.depth > maxDepth:
		d.fail(at, tooDeep)
	case node.Kind == yaml.AliasNode:
		d.fail(at, "YAML aliases are not accepted; write the value out")
	case node.Style&yaml.TaggedStyle != 0:
		d.fail(at, "YAML tags are not accepted; if the text begins with !, put it in quotes")
	default:
		return true
	}
	return false
}

// isNull says that a field has a name and nothing else.
func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.Tag == "!!null" }

// is says that node is of a kind that holds others. Nothing at all is not, and
// leaves the target as it is.
func (d *decoder) is(kind yaml.Kind, want string, node *yaml.Node, at *place) bool {
	if node.Kind != kind && !isNull(node) {
		d.fail(at, want)
	}
	return node.Kind == kind
}

// unmarshaler lets a type decode itself, once node is known to be harmless.
func (d *decoder) unmarshaler(node *yaml.Node, target reflect.Value, at *place) {
	if node.Kind != yaml.ScalarNode {
		before := len(d.problems)
		d.free(node, at)
		if len(d.problems) > before {
			return
		}
	}
	unmarshaler, ok := target.Addr().Interface().(yaml.Unmarshaler)
	if !ok {
		return
	}
	err := unmarshaler.UnmarshalYAML(node)
	var inner Problems
	switch {
	case err == nil:
	case errors.As(err, &inner):
		for _, p := range inner {
			p.Field = joined(at.String(), p.Field)
			if p.meant != "" {
				p.meant = joined(at.String(), p.meant)
			}
			if p.Line == 0 {
				p.Line, p.Column = at.node.Line, at.node.Column
			}
			d.add(p)
		}
	default:
		d.fail(at, err.Error())
	}
}

func joined(before, after string) string {
	if before == "" || after == "" || after[0] == '[' {
		return before + after
	}
	return before + "." + after
}

// structure decodes a map into the fields of a struct.
func (d *decoder) structure(node *yaml.Node, target reflect.Value, at *place) {
	if !d.is(yaml.MappingNode, wantMap, node, at) {
		return
	}
	known, ok := d.fields[target.Type()]
	if !ok {
		known = fieldsOf(target.Type())
		d.fields[target.Type()] = known
	}
	d.pairs(node, at, d.tolerant, func(key, value *yaml.Node, at *place) {
		name := key.Value
		if d.tolerant != nil && d.tolerant.FoldCase {
			name = known.folded(name)
		}
		if index, ok := known.index[name]; ok {
			d.value(value, target.FieldByIndex(index), at)
			return
		}
		if known.rest == nil && d.tolerant != nil {
			if d.hasRoom() { // else the nearest name is sought in vain
				d.ignore(at, Unknown("field, which has no effect", key.Value, known.names))
			}
			return
		}
		if known.rest == nil {
			d.unknown(node, at, known.names)
			return
		}
		if v := d.free(value, at); v != nil {
			rest := target.FieldByIndex(known.rest)
			if rest.IsNil() {
				rest.Set(reflect.MakeMap(rest.Type()))
			}
			rest.SetMapIndex(reflect.ValueOf(key.Value), reflect.ValueOf(v))
		}
	})
}

// mapping decodes a map into a Go map with text for keys. Entries that the
// target already has, and the document has not, stay.
func (d *decoder) mapping(node *yaml.Node, target reflect.Value, at *place) {
	if !d.is(yaml.MappingNode, wantMap, node, at) {
		return
	}
	if target.Type().Key().Kind() != reflect.String {
		d.fail(at, fmt.Sprintf("cannot be decoded into a %s", target.Type()))
		return
	}
	if target.IsNil() {
		target.Set(reflect.MakeMapWithSize(target.Type(), len(node.Content)/2))
	}
	d.pairs(node, at, nil, func(key, value *yaml.Node, at *place) {
		element := reflect.New(target.Type().Elem()).Elem()
		d.value(value, element, at)
		target.SetMapIndex(reflect.ValueOf(key.Value).Convert(target.Type().Key()), element)
	})
}

// list decodes a list into a slice, which it replaces.
func (d *decoder) list(node *yaml.Node, target reflect.Value, at *place) {
	if !d.is(yaml.SequenceNode, wantList, node, at) {
		return
	}
	if len(node.Content) > maxItems {
		d.fail(at, fmt.Sprintf("has too many items; at most %d are accepted", maxItems))
		return
	}
	target.Set(reflect.MakeSlice(target.Type(), len(node.Content), len(node.Content)))
	for i, item := range node.Content {
		at := at.item(i, item)
		if isNull(item) && d.tolerant != nil && target.Type().Elem().Kind() == reflect.Struct {
			d.ignore(at, EmptyItem)
			continue
		}
		d.value(item, target.Index(i), at)
	}
}

// pairs calls each for every field of a map that has a proper name of its own. In the map
// of a struct that is decoded tolerantly, names that are none have no effect.
func (d *decoder) pairs(node *yaml.Node, at *place, tolerant *Tolerant, each func(key, value *yaml.Node, at *place)) {
	first := make(map[string]int, len(node.Content)/2)
	refuse := d.fail
	var last map[int]bool
	if tolerant != nil {
		refuse = d.ignore
		if tolerant.FoldCase {
			last = lastOf(node)
		}
	}
	for i := 0; i+1 < len(node.Content) && !d.full(); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		unnamed := &place{parent: at.parent, node: key, name: at.name, index: at.index}
		switch {
		case key.Kind == yaml.ScalarNode && key.Tag == "!!merge":
			d.fail(at.field(key), "YAML merge keys are not accepted; write the fields out")
		case key.Kind != yaml.ScalarNode || key.Style&yaml.TaggedStyle != 0 || key.Tag != "!!str" && key.Tag != "!!int":
			refuse(unnamed, "a field's name must be text; put it in quotes")
		case key.Value == "":
			refuse(unnamed, "a field's name is empty")
		case last != nil && !last[i]:
			d.ignore(at.field(key), "has no effect: the field is given again, and that counts")
		default:
			if line, twice := first[key.Value]; twice {
				d.fail(at.field(key), "is given twice; remove this one or that "+above(key.Line-line))
				continue
			}
			first[key.Value] = key.Line
			each(key, value, at.field(key))
		}
	}
}

// above says how far above a line another is: its number would be that in a parameter's
// text, and who reads it may have the file before him.
func above(lines int) string {
	switch {
	case lines <= 0:
		return "before it"
	case lines == 1:
		return "of the line above"
	}
	return fmt.Sprintf("%d lines above", lines)
}
