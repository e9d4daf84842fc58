package render

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strconv"
)

// integer reads a whole number; text may be one, because values are text.
func integer(v any) (int, error) {
	notWhole := errors.New("it takes whole numbers of up to 64 bits")
	switch v := v.(type) {
	case string:
		n, err := strconv.Atoi(v)
		if err != nil {
			return 0, notWhole
		}
		return n, nil
	case json.Number:
		return integer(string(v))
	case float64:
		if v != math.Trunc(v) || math.Abs(v) > 1<<53 {
			return 0, notWhole
		}
		return int(v), nil
	}
	if r := reflect.ValueOf(v); r.IsValid() && r.CanInt() {
		return int(r.Int()), nil
	}
	return 0, notWhole
}

func toInt(v any) (int, error) { return integer(v) }

func toFloat(v any) (float64, error) {
	switch v := v.(type) {
	case float64:
		return v, nil
	case json.Number:
		return toFloat(string(v))
	case string:
		f, err := strconv.ParseFloat(v, 64)
		if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return 0, errors.New("it takes a number")
		}
		return f, nil
	}
	n, err := integer(v)
	return float64(n), err
}

// fold applies f from left to right over whole numbers.
func fold(first any, rest []any, f func(a, b int) (int, error)) (int, error) {
	result, err := integer(first)
	for _, v := range rest {
		if err != nil {
			return 0, err
		}
		var n int
		if n, err = integer(v); err == nil {
			result, err = f(result, n)
		}
	}
	return result, err
}

var errOverflow = errors.New("the result does not fit 64 bits")

func sum(a, b int) (int, error) {
	if c := a + b; (c > a) == (b > 0) {
		return c, nil
	}
	return 0, errOverflow
}

func add(first any, rest ...any) (int, error) { return fold(first, rest, sum) }
func add1(v any) (int, error)                 { return fold(v, []any{1}, sum) }

func sub(a, b any) (int, error) {
	return fold(a, []any{b}, func(a, b int) (int, error) {
		if c := a - b; (c < a) == (b > 0) {
			return c, nil
		}
		return 0, errOverflow
	})
}

func mul(first any, rest ...any) (int, error) {
	return fold(first, rest, func(a, b int) (int, error) {
		if a == 0 || b == 0 {
			return 0, nil
		}
		if c := a * b; c/b == a && !(a == -1 && b == math.MinInt) && !(b == -1 && a == math.MinInt) {
			return c, nil
		}
		return 0, errOverflow
	})
}

var errDivision = errors.New("division by zero")

func div(a, b any) (int, error) {
	return fold(a, []any{b}, func(a, b int) (int, error) {
		if b == 0 {
			return 0, errDivision
		}
		if b == -1 && a == math.MinInt {
			return 0, errOverflow
		}
		return a / b, nil
	})
}

func mod(a, b any) (int, error) {
	return fold(a, []any{b}, func(a, b int) (int, error) {
		if b == 0 {
			return 0, errDivision
		}
		return a % b, nil
	})
}

func largest(first any, rest ...any) (int, error) {
	return fold(first, rest, func(a, b int) (int, error) { return max(a, b), nil })
}

func smallest(first any, rest ...any) (int, error) {
	return fold(first, rest, func(a, b int) (int, error) { return min(a, b), nil })
}
