package jmespath

import (
	"strings"

	"github.com/jmespath-community/go-jmespath/pkg/parsing"

	"github.com/lanyardhq/lanyard/internal/message"
)

// whyNothing says why a path of names, such as a.b.c, selects nothing of a value, or
// nothing if it cannot tell. It names what the expression names and no other key.
func whyNothing(root parsing.ASTNode, value any) string {
	names, ok := pathOf(root, nil)
	if !ok {
		return ""
	}
	at := "the value"
	for _, name := range names {
		switch v := value.(type) {
		case map[string]any:
			value, ok = v[name]
			switch {
			case !ok:
				return at + " has no key " + message.Printable(name)
			case value == nil:
				return "the key " + message.Printable(name) + " is null"
			}
			at = message.Printable(name)
		case string:
			if text := strings.TrimSpace(v); strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[") {
				return at + " is text that holds JSON, which no property looks into; take it apart with fromJson in a template"
			}
			return at + " is text and has no keys"
		case []any:
			return at + " is a list and has no keys; select from it with [0] or [*]"
		default:
			return at + " is a number or a truth and has no keys"
		}
	}
	return ""
}

// pathOf returns the names of an expression that is nothing but names.
func pathOf(node parsing.ASTNode, names []string) ([]string, bool) {
	switch node.NodeType {
	case parsing.ASTField:
		return append(names, node.Value.(string)), true
	case parsing.ASTSubexpression:
		names, ok := pathOf(node.Children[0], names)
		if !ok {
			return nil, false
		}
		return pathOf(node.Children[1], names)
	}
	return nil, false
}
