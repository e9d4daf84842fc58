package strict

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Find follows a dotted field, such as "objects[2].mode", from root as far as
// it goes. It returns the node to point at (a field's name, a list's item), the
// value there, and whether the field is there; if not, the last that was.
func Find(root *yaml.Node, field string) (at, value *yaml.Node, ok bool) {
	at, value = root, root
	for field != "" {
		var next, below *yaml.Node
		rest := ""
		switch value.Kind {
		case yaml.MappingNode:
			next, below, rest = findField(value, field)
		case yaml.SequenceNode:
			next, rest = findItem(value, field)
			below = next
		default: // a scalar has nothing below it
		}
		if next == nil {
			return at, value, false
		}
		at, value, field = next, below, strings.TrimPrefix(rest, ".")
	}
	return at, value, true
}

// findField finds the field of a map that field begins with. Names may hold
// dots themselves; the longest that fits is meant.
func findField(node *yaml.Node, field string) (key, value *yaml.Node, rest string) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		name := node.Content[i].Value
		after, ok := strings.CutPrefix(field, name)
		if !ok || name == "" || after != "" && after[0] != '.' && after[0] != '[' {
			continue
		}
		if key == nil || len(name) > len(key.Value) {
			key, value, rest = node.Content[i], node.Content[i+1], after
		}
	}
	return key, value, rest
}

func findItem(node *yaml.Node, field string) (item *yaml.Node, rest string) {
	number, rest, ok := strings.Cut(strings.TrimPrefix(field, "["), "]")
	i, err := strconv.Atoi(number)
	if !ok || err != nil || i < 0 || i >= len(node.Content) {
		return nil, ""
	}
	return node.Content[i], rest
}
