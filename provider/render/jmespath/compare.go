package jmespath

import (
	"cmp"
	"encoding/json"

	"github.com/jmespath-community/go-jmespath/pkg/parsing"

	"github.com/lanyardhq/lanyard/provider/render"
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
	l, lok := left.(json.Number)
	r, rok := right.(json.Number)
	if !lok || !rok {
		return nil, nil
	}
	order, err := e.order(l, r)
	if err != nil {
		return nil, err
	}
	switch node.Value {
	case parsing.TOKLT:
		return order < 0, nil
	case parsing.TOKLTE:
		return order <= 0, nil
	case parsing.TOKGT:
		return order > 0, nil
	}
	return order >= 0, nil
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
	case json.Number:
		r, ok := right.(json.Number)
		if !ok {
			return false, nil
		}
		order, err := e.order(l, r)
		return err == nil && order == 0, err
	}
	return left == right, nil // null and booleans
}

// order compares two strings or two numbers.
func (e *evaluation) order(left, right any) (int, error) {
	if l, ok := left.(string); ok {
		r := right.(string)
		return cmp.Compare(l, r), e.Read(min(len(l), len(r)))
	}
	l, r := left.(json.Number), right.(json.Number)
	if err := e.Read(len(l) + len(r)); err != nil {
		return 0, err
	}
	return render.CompareNumbers(l, r)
}
