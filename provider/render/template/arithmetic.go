package template

import (
	"encoding/json"
	"errors"
	"reflect"
	"strconv"

	"github.com/lanyardhq/lanyard/provider/render"
)

// integer reads a whole number; text may be one, because values are text.
func integer(v any) (int, error) {
	n, ok := number(v)
	if text, isText := v.(string); isText {
		if whole, err := strconv.Atoi(text); err == nil {
			return whole, nil
		}
	}
	if whole, fits := render.Integer(n); ok && fits && whole == int64(int(whole)) {
		return int(whole), nil
	}
	return 0, errors.New("it takes whole numbers of up to 64 bits")
}

// number returns a number's digits.
func number(v any) (json.Number, bool) {
	switch v := v.(type) {
	case json.Number:
		return v, true
	case float64:
		return json.Number(render.FormatFloat(v)), true
	}
	if r := reflect.ValueOf(v); r.IsValid() && r.CanInt() {
		return json.Number(strconv.FormatInt(r.Int(), 10)), true
	}
	return "", false
}

// toFloat returns a number as a float, if its digits are those of the number.
func toFloat(v any) (float64, error) {
	n, ok := number(v)
	if !ok {
		return 0, errors.New("it takes a number")
	}
	if f, err := strconv.ParseFloat(string(n), 64); err == nil {
		if order, err := render.CompareNumbers(n, json.Number(render.FormatFloat(f))); err == nil && order == 0 {
			return f, nil
		}
	}
	return 0, errors.New("a number has more digits than %e, %f and %g keep; print it as it is, or with %s")
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
