package jmespath

import (
	"fmt"
	"maps"
	"slices"

	"github.com/jmespath-community/go-jmespath/pkg/parsing"

	"github.com/lanyardhq/lanyard/provider/render"
)

// evaluation applies an expression once. The parser's own library has an
// interpreter too; this one differs in that it is bounded, keeps the digits of
// numbers, visits objects in the order of their keys, and never changes or
// quotes what it is given.
//
// Values are what render.ParseJSON makes, so every number is a json.Number. They
// are shared freely, so that the tree that a result seems to be can be far larger
// than its memory; see render.AppendJSON.
type evaluation struct {
	render.Budget
	functions map[string]function
}

// The maximum memory of a list element and of an object without its entries.
const (
	elementBytes = 32
	objectBytes  = 320
)

// reference is an argument that a function applies to elements.
type reference struct{ node parsing.ASTNode }

func (e *evaluation) evaluate(node parsing.ASTNode, value any) (any, error) {
	if err := e.Work(1); err != nil {
		return nil, err
	}
	switch node.NodeType {
	case parsing.ASTIdentity, parsing.ASTCurrentNode:
		return value, nil
	case parsing.ASTLiteral:
		return node.Value, nil
	case parsing.ASTField:
		object, _ := value.(map[string]any)
		return object[node.Value.(string)], nil
	case parsing.ASTIndex:
		return index(value, node.Value.(int)), nil
	case parsing.ASTSlice:
		return e.slice(value, node.Value.([]*int))
	case parsing.ASTSubexpression, parsing.ASTIndexExpression:
		left, err := e.evaluate(node.Children[0], value)
		if err != nil || left == nil {
			return nil, err
		}
		return e.evaluate(node.Children[1], left)
	case parsing.ASTPipe:
		left, err := e.evaluate(node.Children[0], value)
		if err != nil {
			return nil, err
		}
		return e.evaluate(node.Children[1], left)
	case parsing.ASTProjection:
		return e.project(node, value, e.list)
	case parsing.ASTValueProjection:
		return e.project(node, value, e.objectValues)
	case parsing.ASTFilterProjection:
		return e.project(node, value, e.list)
	case parsing.ASTFlatten:
		return e.flatten(node, value)
	case parsing.ASTMultiSelectList:
		return e.multiSelectList(node, value)
	case parsing.ASTMultiSelectHash:
		return e.multiSelectHash(node, value)
	case parsing.ASTKeyValPair:
		return e.evaluate(node.Children[0], value)
	case parsing.ASTOrExpression:
		left, err := e.evaluate(node.Children[0], value)
		if err != nil || isTrue(left) {
			return left, err
		}
		return e.evaluate(node.Children[1], value)
	case parsing.ASTAndExpression:
		left, err := e.evaluate(node.Children[0], value)
		if err != nil || !isTrue(left) {
			return left, err
		}
		return e.evaluate(node.Children[1], value)
	case parsing.ASTNotExpression:
		operand, err := e.evaluate(node.Children[0], value)
		return !isTrue(operand), err
	case parsing.ASTComparator:
		return e.compare(node, value)
	case parsing.ASTFunctionExpression:
		return e.call(node, value)
	case parsing.ASTExpRef:
		return reference{node.Children[0]}, nil
	}
	return nil, fmt.Errorf("the expression has a part that is not supported (%v)", node.NodeType)
}

// project applies the right side to each element that elements finds in the
// left side, drops nulls, and drops what the condition of a filter excludes.
func (e *evaluation) project(node parsing.ASTNode, value any, elements func(any) ([]any, bool, error)) (any, error) {
	left, err := e.evaluate(node.Children[0], value)
	if err != nil {
		return nil, err
	}
	list, ok, err := elements(left)
	if err != nil || !ok {
		return nil, err
	}
	collected := []any{}
	for _, element := range list {
		if node.NodeType == parsing.ASTFilterProjection {
			keep, err := e.evaluate(node.Children[2], element)
			if err != nil {
				return nil, err
			}
			if !isTrue(keep) {
				continue
			}
		}
		current, err := e.evaluate(node.Children[1], element)
		if err != nil {
			return nil, err
		}
		if current == nil {
			continue
		}
		if err := e.Grow(elementBytes); err != nil {
			return nil, err
		}
		collected = append(collected, current)
	}
	return collected, nil
}

func (e *evaluation) list(value any) ([]any, bool, error) {
	list, ok := value.([]any)
	return list, ok, nil
}

func (e *evaluation) objectValues(value any) ([]any, bool, error) {
	object, ok := value.(map[string]any)
	if !ok {
		return nil, false, nil
	}
	keys, err := e.keys(object)
	if err != nil {
		return nil, false, err
	}
	values := make([]any, len(keys))
	for i, key := range keys {
		values[i] = object[key]
	}
	return values, true, nil
}

// keys returns an object's keys, sorted.
func (e *evaluation) keys(object map[string]any) ([]string, error) {
	text := 0
	for key := range object {
		text += len(key)
	}
	if err := e.Work(4*len(object) + text/render.BytesPerStep); err != nil {
		return nil, err
	}
	if err := e.Grow(2 * elementBytes * len(object)); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(object)), nil
}

func (e *evaluation) flatten(node parsing.ASTNode, value any) (any, error) {
	left, err := e.evaluate(node.Children[0], value)
	if err != nil {
		return nil, err
	}
	list, ok := left.([]any)
	if !ok {
		return nil, nil
	}
	flat := []any{}
	for _, element := range list {
		inner, ok := element.([]any)
		if !ok {
			inner = []any{element}
		}
		if err := e.Work(1 + len(inner)/8); err != nil {
			return nil, err
		}
		if err := e.Grow(elementBytes * len(inner)); err != nil {
			return nil, err
		}
		flat = append(flat, inner...)
	}
	return flat, nil
}

func (e *evaluation) multiSelectList(node parsing.ASTNode, value any) (any, error) {
	if value == nil {
		return nil, nil
	}
	if err := e.Grow(elementBytes * len(node.Children)); err != nil {
		return nil, err
	}
	collected := make([]any, len(node.Children))
	for i, child := range node.Children {
		current, err := e.evaluate(child, value)
		if err != nil {
			return nil, err
		}
		collected[i] = current
	}
	return collected, nil
}

func (e *evaluation) multiSelectHash(node parsing.ASTNode, value any) (any, error) {
	if value == nil {
		return nil, nil
	}
	if err := e.Grow(objectBytes + 3*elementBytes*len(node.Children)); err != nil {
		return nil, err
	}
	collected := make(map[string]any, len(node.Children))
	for _, child := range node.Children {
		current, err := e.evaluate(child, value)
		if err != nil {
			return nil, err
		}
		collected[child.Value.(string)] = current
	}
	return collected, nil
}
