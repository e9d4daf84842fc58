package jmespath

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jmespath-community/go-jmespath/pkg/parsing"

	"github.com/lanyardhq/lanyard/provider/render"
)

// call evaluates a function's arguments and calls it.
func (e *evaluation) call(node parsing.ASTNode, value any) (any, error) {
	args := make([]any, len(node.Children))
	for i, child := range node.Children {
		arg, err := e.evaluate(child, value)
		if err != nil {
			return nil, err
		}
		args[i] = arg
	}
	return e.functions[node.Value.(string)].call(e, args)
}

// sortable says whether all values are strings or all are numbers.
func (e *evaluation) sortable(values []any) (bool, error) {
	texts, numbers := 0, 0
	for _, value := range values {
		if _, ok := value.(string); ok {
			texts++
		} else if _, ok := value.(json.Number); ok {
			numbers++
		}
	}
	return texts == len(values) || numbers == len(values), e.Work(1 + len(values))
}

// sorted returns the elements in the order of their keys, equal ones in their
// own order.
func (e *evaluation) sorted(name string, elements, keys []any) (any, error) {
	ok, err := e.sortable(keys)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, wants(name, "only strings or only numbers to sort by")
	}
	if err := e.Grow(2 * elementBytes * len(elements)); err != nil {
		return nil, err
	}
	order := make([]int, len(elements))
	for i := range order {
		order[i] = i
	}
	var failed error
	slices.SortStableFunc(order, func(a, b int) int {
		if failed != nil {
			return 0 // ends the sort soon; its result is not used
		}
		var c int
		c, failed = e.order(keys[a], keys[b])
		return c
	})
	if failed != nil {
		return nil, failed
	}
	result := make([]any, len(elements))
	for i, from := range order {
		result[i] = elements[from]
	}
	return result, nil
}

func sorted(e *evaluation, args []any) (any, error) {
	list, ok := args[0].([]any)
	if !ok {
		return nil, wants("sort", "a list")
	}
	return e.sorted("sort", list, list)
}

func sortedBy(e *evaluation, args []any) (any, error) {
	list, ok := args[0].([]any)
	if !ok {
		return nil, wants("sort_by", "a list and an expression")
	}
	keys, err := e.apply(args[1].(reference), list)
	if err != nil {
		return nil, err
	}
	return e.sorted("sort_by", list, keys)
}

// extreme is the function that returns the largest (sign 1) or smallest (-1).
func extreme(name string, sign int) func(*evaluation, []any) (any, error) {
	return func(e *evaluation, args []any) (any, error) {
		list, ok := args[0].([]any)
		if !ok {
			return nil, wants(name, "a list")
		}
		return e.extreme(name, sign, list, list)
	}
}

// extremeBy is extreme by an expression on each element.
func extremeBy(name string, sign int) func(*evaluation, []any) (any, error) {
	return func(e *evaluation, args []any) (any, error) {
		list, ok := args[0].([]any)
		if !ok {
			return nil, wants(name, "a list and an expression")
		}
		keys, err := e.apply(args[1].(reference), list)
		if err != nil {
			return nil, err
		}
		return e.extreme(name, sign, list, keys)
	}
}

// extreme returns the first element whose key is extreme, or null of none.
func (e *evaluation) extreme(name string, sign int, elements, keys []any) (any, error) {
	ok, err := e.sortable(keys)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, wants(name, "only strings or only numbers to compare")
	}
	if len(keys) == 0 {
		return nil, nil
	}
	best := 0
	for i := 1; i < len(keys); i++ {
		c, err := e.order(keys[i], keys[best])
		if err != nil {
			return nil, err
		}
		if c*sign > 0 {
			best = i
		}
	}
	return elements[best], nil
}

func sum(e *evaluation, args []any) (any, error) {
	numbers, err := e.numbers("sum", args[0])
	if err != nil {
		return nil, err
	}
	sum, err := render.Sum(numbers)
	if err != nil {
		return nil, fmt.Errorf("sum: %w", err)
	}
	return sum, nil
}

func average(e *evaluation, args []any) (any, error) {
	numbers, err := e.numbers("avg", args[0])
	if err != nil || len(numbers) == 0 {
		return nil, err
	}
	mean, err := render.Mean(numbers)
	if err != nil {
		return nil, fmt.Errorf("avg: %w", err)
	}
	return mean, nil
}

// numbers returns a list of numbers, and takes the steps for adding them.
func (e *evaluation) numbers(name string, arg any) ([]json.Number, error) {
	list, ok := arg.([]any)
	if !ok {
		return nil, wants(name, "a list of numbers")
	}
	if err := e.Grow(elementBytes * len(list)); err != nil {
		return nil, err
	}
	numbers := make([]json.Number, len(list))
	for i, element := range list {
		n, ok := element.(json.Number)
		if !ok {
			return nil, wants(name, "a list of numbers")
		}
		if err := e.Work(2 + len(n)/render.BytesPerStep); err != nil {
			return nil, err
		}
		numbers[i] = n
	}
	return numbers, nil
}
