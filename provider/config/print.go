package config

import (
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Field is one field of the configuration file.
type Field struct {
	// Path is its dotted place; "<name>" stands for the name of a store.
	Path string
	// Doc says what it means.
	Doc string
}

// Fields lists all fields, sections before what is in them.
func Fields() []Field { return slices.Clone(fields) }

// Print writes config as a configuration file in which every field is present
// and has its meaning as a comment. Reading it gives config again.
func Print(w io.Writer, config Config) error {
	root, err := section(reflect.ValueOf(config), "")
	if err != nil {
		return err
	}
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(root); err != nil {
		return fmt.Errorf("cannot write the configuration: %w", err)
	}
	return encoder.Close()
}

// section is a struct as a YAML map with comments.
func section(value reflect.Value, prefix string) (*yaml.Node, error) {
	node := &yaml.Node{Kind: yaml.MappingNode}
	for _, field := range reflect.VisibleFields(value.Type()) {
		name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if name == "" {
			continue
		}
		content, err := fieldNode(value.FieldByIndex(field.Index), prefix+name)
		if err != nil {
			return nil, err
		}
		key := &yaml.Node{Kind: yaml.ScalarNode, Value: name, HeadComment: comment(prefix + name)}
		node.Content = append(node.Content, key, content)
	}
	return node, nil
}

func fieldNode(value reflect.Value, path string) (*yaml.Node, error) {
	switch v := value.Interface().(type) {
	case time.Duration:
		return scalar(v.String())
	case map[string]Store:
		return stores(v)
	}
	if value.Kind() == reflect.Struct {
		return section(value, path+".")
	}
	return scalar(value.Interface())
}

// stores are the named stores, by name. Their fields are explained above them
// all, once.
func stores(named map[string]Store) (*yaml.Node, error) {
	node := &yaml.Node{Kind: yaml.MappingNode}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		content, err := scalar(named[name])
		if err != nil {
			return nil, err
		}
		node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, content)
	}
	return node, nil
}

func scalar(value any) (*yaml.Node, error) {
	node := new(yaml.Node)
	if err := node.Encode(value); err != nil {
		return nil, fmt.Errorf("cannot write the configuration: %w", err)
	}
	return node, nil
}

// comment is the meaning of the field at path; that of a map of named things
// lists the fields that each of them has.
func comment(path string) string {
	var b strings.Builder
	for _, field := range fields {
		switch {
		case field.Path == path:
			b.WriteString(wrap(field.Doc, ""))
		case strings.HasPrefix(field.Path, path+".<name>."):
			b.WriteString("\n" + wrap(strings.TrimPrefix(field.Path, path+".<name>.")+": "+field.Doc, "  "))
		}
	}
	return b.String()
}

// wrap breaks a text into lines of at most 78 bytes where it can; all but the
// first begin with indent.
func wrap(text, indent string) string {
	const maxWidth = 78
	var b strings.Builder
	length := 0
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case length+1+len(word) > maxWidth:
			b.WriteString("\n" + indent)
			length = len(indent)
		default:
			b.WriteString(" ")
			length++
		}
		b.WriteString(word)
		length += len(word)
	}
	return b.String()
}
