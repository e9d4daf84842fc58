// Package jmespath selects from a JSON value with a JMESPath expression, bounded in
// steps and memory whatever the expression and the value are.
//
// The parser is a library's, and the evaluator is this package's own: the
// library's needs 876 MiB for an expression of 217 bytes.
//
// Start with Compile.
package jmespath

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jmespath-community/go-jmespath/pkg/parsing"

	"github.com/lanyardhq/lanyard/provider/render"
)

const (
	// maxExpression is the maximum size of an expression in bytes. It bounds nesting too.
	maxExpression = 4096
	// What applying an expression may cost; see budget.
	propertySteps = 1_000_000
	propertyBytes = 16 << 20
)

// Expression is a compiled JMESPath expression, as https://jmespath.org/specification.html
// defines it, with all functions of that page and no others. It is safe for
// concurrent use.
type Expression struct {
	text string
	root parsing.ASTNode
}

// Compile compiles an expression. The error says where it goes wrong
// and, for what looks like the name of one key, how to quote it.
func Compile(expr string) (*Expression, error) {
	if expr == "" {
		return nil, errors.New("an empty expression selects nothing; leave it out for the whole value")
	}
	if len(expr) > maxExpression {
		return nil, fmt.Errorf("the expression has %d bytes; at most %d are allowed", len(expr), maxExpression)
	}
	root, err := parseExpression(expr)
	if err == nil {
		err = checkNode(root)
	}
	if err != nil {
		if looksLikeName(expr) {
			return nil, fmt.Errorf("%w; to select the key of this very name, quote it: %s", err, quoteName(expr))
		}
		return nil, err
	}
	return &Expression{text: expr, root: root}, nil
}

// parseExpression returns the expression's syntax tree. The parser indexes out of range
// on some expressions that end too early; that is a syntax error like another.
func parseExpression(expr string) (root parsing.ASTNode, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("not a JMESPath expression: it ends too early or holds a character that must be quoted")
		}
	}()
	numbered, literals, err := numberLiterals(expr)
	if err != nil {
		return root, err
	}
	if root, err = parsing.NewParser().Parse(numbered); err == nil {
		putLiterals(&root, literals)
		return root, nil
	}
	if _, inExpr := parsing.NewParser().Parse(expr); inExpr != nil {
		err = inExpr // its column is that of the author's text
	}
	var syntax parsing.SyntaxError
	if errors.As(err, &syntax) {
		at := min(max(syntax.Offset, 0), len(expr))
		if rest := expr[at:]; rest != "" {
			return root, fmt.Errorf("not a JMESPath expression from column %d on: %.32q", at+1, rest)
		}
		return root, errEndsTooEarly
	}
	return root, errors.New("not a JMESPath expression: a name in it is not JSON text, or a number is too large")
}

// looksLikeName tells the name of a single key, such as tls.crt or my-key, from
// an expression that uses the language.
func looksLikeName(expr string) bool { return !strings.ContainsAny(expr, "\"'`[](){}|&!=<>*,:? \t\n") }

// quoteName writes a name as the expression for it, in the quotes that YAML
// needs around it.
func quoteName(name string) string {
	quoted, _ := json.Marshal(name) //nolint:errcheck,errchkjson // a string always marshals
	return "'" + string(quoted) + "'"
}

// Apply selects from a JSON value: a string's own text, or compact JSON with
// sorted keys for anything else, numbers with the digits they have in the
// value. The error wraps render.ErrNothing if there is nothing or null, and
// render.ErrTooLarge if a bound was passed; no other error passes by changing what
// secret is read. It holds no part of the value. An error of hooks is passed on.
func (p *Expression) Apply(value []byte, hooks render.Hooks) ([]byte, error) {
	parsed, err := render.ParseJSON(value)
	if err != nil {
		return nil, err
	}
	e := &evaluation{Budget: render.Budget{Steps: propertySteps, Bytes: propertyBytes, Hooks: hooks}, functions: functions}
	selected, err := e.evaluate(p.root, parsed)
	if err != nil {
		return nil, err
	}
	if selected == nil {
		if object, ok := parsed.(map[string]any); ok && looksLikeName(p.text) && object[p.text] != nil {
			return nil, fmt.Errorf("%w; the value has a key of this very name: to select it, quote it: %s", render.ErrNothing, quoteName(p.text))
		}
		if reason := whyNothing(p.root, parsed); reason != "" {
			return nil, fmt.Errorf("%w: %s", render.ErrNothing, reason)
		}
		return nil, render.ErrNothing
	}
	return render.Value(selected, render.MaxBytes)
}
