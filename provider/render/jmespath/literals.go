package jmespath

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jmespath-community/go-jmespath/pkg/parsing"

	"github.com/lanyardhq/lanyard/provider/render"
)

var errEndsTooEarly = errors.New("not a JMESPath expression: it ends too early")

// numberLiterals returns the expression with a list of one number in place of each
// JSON literal, and the literals that the numbers stand for. The parser reads numbers
// in literals as floats, which drops digits; render.ParseJSON keeps them.
func numberLiterals(expr string) (numbered string, literals []any, err error) {
	var out strings.Builder
	for rest := expr; ; {
		start := strings.IndexAny(rest, "\"'`")
		if start < 0 {
			return out.String() + rest, literals, nil
		}
		length := quotedLength(rest[start:])
		if length == 0 {
			return "", nil, errEndsTooEarly
		}
		quoted := rest[start : start+length]
		out.WriteString(rest[:start])
		rest = rest[start+length:]
		if quoted[0] != '`' {
			out.WriteString(quoted)
			continue
		}
		literal, err := render.ParseJSON([]byte(strings.ReplaceAll(quoted[1:length-1], "\\`", "`")))
		if err != nil {
			return "", nil, errors.New("not a JMESPath expression: a literal in it is not JSON")
		}
		fmt.Fprintf(&out, "`[%d]`", len(literals))
		literals = append(literals, literal)
	}
}

// quotedLength returns how much of text, which begins with a quote, is up to the
// quote that ends it; zero if none does.
func quotedLength(text string) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case text[0]:
			return i + 1
		}
	}
	return 0
}

// putLiterals puts each literal in the place of its number.
func putLiterals(node *parsing.ASTNode, literals []any) {
	if number, ok := node.Value.([]any); ok && node.NodeType == parsing.ASTLiteral {
		node.Value = literals[int(number[0].(float64))]
	}
	for i := range node.Children {
		putLiterals(&node.Children[i], literals)
	}
}
