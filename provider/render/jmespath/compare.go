package jmespath

import (
	"cmp"
	"encoding/json"

	"github.com/jmespath-community/go-jmespath/pkg/parsing"
)

// compare evaluates a comparison: of anything for equality, of numbers for order.
func (e *evaluation) compare(node parsing.ASTNode, value any) (any, error) {
	left, err := e.evaluate(node.Children[0], value)
	if err != nil {
		return nil, err
	}
	right, err := e.evaluate(node.Children[1], value)
	if err != nil {
		return nil, err
	}
	switch node.Value {
	case parsing.TOKEQ:
		return e.equal(left, right)
	case parsing.TOKNE:
		same, err := e.equal(left, right)
		return !same, err
	}
	l, lok := number(left)
	r, rok := number(right)
	if !lok || !rok {
		return nil, nil
	}
	switch node.Value {
	case parsing.TOKLT:
		return l < r, nil
	case parsing.TOKLTE:
		return l <= r, nil
	case parsing.TOKGT:
		return l > r, nil
	}
	return l >= r, nil
}

// equal compares two values in depth.
func (e *evaluation) equal(left, right any) (bool, error) {
	if err := e.Work(1); err != nil {
		return false, err
	}
	switch l := left.(type) {
	case string:
		r, ok := right.(string)
		if !ok || len(l) != len(r) {
			return false, nil
		}
		return l == r, e.Read(len(l))
	case []any:
		r, ok := right.([]any)
		if !ok || len(l) != len(r) {
			return false, nil
		}
		for i := range l {
			if same, err := e.equal(l[i], r[i]); err != nil || !same {
				return false, err
			}
		}
		return true, nil
	case map[string]any:
		r, ok := right.(map[string]any)
		if !ok || len(l) != len(r) {
			return false, nil
		}
		// In the order of the keys, so that whether the steps suffice does
		// not depend on chance.
		keys, err := e.keys(l)
		if err != nil {
			return false, err
		}
		for _, key := range keys {
			other, ok := r[key]
			if !ok {
				return false, nil
			}
			if same, err := e.equal(l[key], other); err != nil || !same {
				return false, err
			}
		}
		return true, nil
	case json.Number, float64:
		return equalNumbers(left, right), nil
	}
	return left == right, nil // null and booleans
}

func equalNumbers(left, right any) bool {
	l, ok := left.(json.Number)
	if r, also := right.(json.Number); ok && also && isInteger(l) && isInteger(r) {
		return l == r
	}
	lf, _ := number(left)
	rf, ok := number(right)
	return ok && lf == rf
}

// order compares two strings or two numbers for sorting.
func (e *evaluation) order(left, right any) (int, error) {
	if l, ok := left.(string); ok {
		r := right.(string)
		return cmp.Compare(l, r), e.Read(min(len(l), len(r)))
	}
	l, _ := number(left)
	r, _ := number(right)
	return cmp.Compare(l, r), e.Work(1)
}
