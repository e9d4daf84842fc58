package lanyard

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/provider/dialect"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// Write is the inverse of Parse: it returns the class's parameters in this dialect.
// It does not write the implied settings of another dialect (Class.Defaults); merge
// them into Class.Stores first. comments, which may be nil, are lines for the objects
// of the same index, without #.
//
// The error is a spec.Problems of what this dialect cannot express. Otherwise the
// result parses to an equal class.
func Write(class *spec.Class, comments []string) (map[string]string, error) {
	parameters := map[string]string{}
	if class.Refresh != 0 {
		parameters[parameterRefresh] = class.Refresh.String()
	}
	if len(class.Stores) > 0 {
		node := storesNode(class.Stores)
		if node == nil {
			return nil, unwritable(parameterStores)
		}
		text, err := encode(node)
		if err != nil {
			return nil, unwritable(parameterStores)
		}
		parameters[parameterStores] = text
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for i, o := range class.Objects {
		node := objectNode(o)
		if node == nil {
			return nil, unwritable(fmt.Sprintf("%s[%d].options", parameterObjects, i))
		}
		if i < len(comments) && comments[i] != "" {
			node.HeadComment = "# " + strings.ReplaceAll(strings.TrimSpace(comments[i]), "\n", "\n# ")
		}
		list.Content = append(list.Content, node)
	}
	text, err := encode(list)
	if err != nil {
		return nil, unwritable(parameterObjects)
	}
	parameters[parameterObjects] = text
	return parameters, verify(class, parameters)
}

func unwritable(field string) error {
	return spec.Problems{{Field: field, Text: "cannot be written as YAML; use text, numbers, true, false, lists and maps"}}
}

// verify checks that the parameters parse to the same class.
func verify(class *spec.Class, parameters map[string]string) error {
	again, err := Parse(parameters)
	if err != nil {
		return err
	}
	var problems spec.Problems
	if !reflect.DeepEqual(again.Stores, class.Stores) && len(class.Stores) > 0 {
		problems = append(problems, spec.Problem{Field: parameterStores, Text: "holds what the native syntax reads differently; write text in place of special numbers"})
	}
	for i := range class.Objects {
		was := class.Objects[i]
		was.Entry = 0
		if i >= len(again.Objects) || !same(again.Objects[i], was) {
			problems = append(problems, dialect.InEntry(parameterObjects, i, was.ID(), "",
				"holds what the native syntax reads differently, such as a number with a fraction of zero or a line break at an end"))
		}
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

// same compares objects; nil and empty options are equal.
func same(a, b spec.Object) bool {
	if len(a.Options) == 0 && len(b.Options) == 0 {
		a.Options, b.Options = nil, nil
	}
	return reflect.DeepEqual(a, b)
}

func encode(node *yaml.Node) (string, error) {
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(node); err != nil {
		return "", err
	}
	err := encoder.Close()
	return b.String(), err
}

// storesNode encodes the stores by name; nil if YAML cannot express them.
func storesNode(stores map[string]map[string]any) *yaml.Node {
	node := &yaml.Node{Kind: yaml.MappingNode}
	for _, name := range slices.Sorted(maps.Keys(stores)) {
		settings := anyNode(stores[name])
		if settings == nil {
			return nil
		}
		settings.Style = 0 // one setting a line
		node.Content = append(node.Content, textNode(name), settings)
	}
	return node
}

// objectNode encodes an object's fields in their documented order; nil if YAML cannot
// express the options.
func objectNode(o spec.Object) *yaml.Node {
	node := &yaml.Node{Kind: yaml.MappingNode}
	field := func(name string, value *yaml.Node) {
		node.Content = append(node.Content, textNode(name), value)
	}
	text := func(name, value string) {
		if value != "" {
			field(name, textNode(value))
		}
	}
	truth := func(name string, value bool) {
		if value {
			field(name, anyNode(true))
		}
	}
	text("path", o.Path)
	text("name", o.Name)
	text("store", o.Store)
	text("key", o.Key)
	text("version", o.Version)
	text("property", o.Property)
	text("encoding", o.Encoding)
	if o.Mode != nil {
		field("mode", textNode(fmt.Sprintf("%04o", *o.Mode)))
	}
	truth("optional", o.Optional)
	if o.Refresh != 0 {
		text("refresh", o.Refresh.String())
	}
	truth("expand", o.Expand)
	if len(o.Options) > 0 {
		options := anyNode(o.Options)
		if options == nil {
			return nil
		}
		field("options", options)
	}
	text("sealed", o.Sealed)
	text("template", o.Template)
	return node
}

func textNode(text string) *yaml.Node {
	node := &yaml.Node{}
	node.SetString(text)
	if slices.Contains([]string{"y", "yes", "n", "no", "on", "off"}, strings.ToLower(text)) {
		node.Style = yaml.DoubleQuotedStyle // older tools take them for true and false
	}
	return node
}

// anyNode encodes settings and options, sorted by name after those that identify the
// thing. It is nil if YAML cannot express them.
func anyNode(value any) *yaml.Node {
	switch value := value.(type) {
	case string:
		return textNode(value)
	case map[string]any:
		node := &yaml.Node{Kind: yaml.MappingNode}
		for _, name := range slices.SortedFunc(maps.Keys(value), bySettingOrder) {
			below := anyNode(value[name])
			if below == nil {
				return nil
			}
			node.Content = append(node.Content, textNode(name), below)
		}
		if fitsALine(node) {
			node.Style = yaml.FlowStyle
		}
		return node
	case []any:
		node := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, item := range value {
			below := anyNode(item)
			if below == nil {
				return nil
			}
			node.Content = append(node.Content, below)
		}
		return node
	case nil, bool, int, float64: // as package strict decodes them
		node := new(yaml.Node)
		if err := node.Encode(value); err != nil {
			return nil
		}
		return node
	}
	return nil
}

// fitsALine reports whether a map reads better in braces: short, with scalars only.
func fitsALine(node *yaml.Node) bool {
	const maxLength = 60 // characters, about what is left beside a field's name
	length := 0
	for _, part := range node.Content {
		length += len(part.Value) + 2
		if part.Kind != yaml.ScalarNode || strings.Contains(part.Value, "\n") {
			return false
		}
	}
	return length <= maxLength
}

func bySettingOrder(a, b string) int {
	first := []string{"type", "address", "method"}
	rank := func(name string) int {
		if i := slices.Index(first, name); i >= 0 {
			return i
		}
		return len(first)
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
}
