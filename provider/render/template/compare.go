package template

import (
	"cmp"
	"errors"

	"github.com/lanyardhq/lanyard/provider/render"
)

// The comparisons of templates. They are this package's own so that they can
// be charged for, and so that numbers from JSON compare as numbers, with all their digits.

var errComparison = errors.New("it compares text with text, numbers with numbers, and true and false with each other")

// same compares two values for equality.
func same(a, b any) (bool, error) {
	switch a := a.(type) {
	case nil:
		return b == nil, nil
	case bool:
		b, ok := b.(bool)
		if !ok {
			return false, errComparison
		}
		return a == b, nil
	}
	if b == nil {
		return false, nil
	}
	order, err := ordered(a, b)
	return order == 0, err
}

// ordered compares two texts or two numbers.
func ordered(a, b any) (int, error) {
	if a, ok := a.(string); ok {
		b, ok := b.(string)
		if !ok {
			return 0, errComparison
		}
		return cmp.Compare(a, b), nil
	}
	l, ok := number(a)
	r, also := number(b)
	if !ok || !also {
		return 0, errComparison
	}
	return render.CompareNumbers(l, r)
}

// eq is true if a equals any of the others.
func eq(a any, first any, others ...any) (bool, error) {
	for _, b := range append([]any{first}, others...) {
		if equal, err := same(a, b); equal || err != nil {
			return equal, err
		}
	}
	return false, nil
}

func ne(a, b any) (bool, error) {
	equal, err := same(a, b)
	return !equal, err
}

func ordering(holds func(order int) bool) func(a, b any) (bool, error) {
	return func(a, b any) (bool, error) {
		if a == nil || b == nil {
			return false, errComparison
		}
		order, err := ordered(a, b)
		return holds(order), err
	}
}

var (
	lt = ordering(func(order int) bool { return order < 0 })
	le = ordering(func(order int) bool { return order <= 0 })
	gt = ordering(func(order int) bool { return order > 0 })
	ge = ordering(func(order int) bool { return order >= 0 })
)
