package template

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

func toFloat(v any) (float64, error) {
	switch v := v.(type) {
	case float64:
		return v, nil
	case json.Number:
		f, err := strconv.ParseFloat(string(v), 64)
		if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return 0, errors.New("it takes a number")
		}
		return f, nil
	}
	n, err := integer(v)
	return float64(n), err
}

var errOverflow = errors.New("the result does not fit 64 bits")

func add(first any, rest ...any) (int, error) {
	total := 0
	for _, v := range append([]any{first}, rest...) {
		n, err := integer(v)
		if err != nil {
			return 0, err
		}
		next := total + n
		if n != 0 && (next > total) != (n > 0) {
			return 0, errOverflow
		}
		total = next
	}
	return total, nil
}

func sub(a, b any) (int, error) {
	from, err := integer(a)
	if err != nil {
		return 0, err
	}
	n, err := integer(b)
	if err != nil {
		return 0, err
	}
	if rest := from - n; n == 0 || (rest < from) == (n > 0) {
		return rest, nil
	}
	return 0, errOverflow
}
