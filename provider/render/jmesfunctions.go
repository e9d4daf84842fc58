package render

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// jmesFunction is one function of the specification.
type jmesFunction struct {
	args      int  // how many arguments it takes, or the fewest if variadic
	variadic  bool // takes more of them
	reference int  // which argument is an expression, counted from one; zero for none
	call      func(e *evaluation, args []any) (any, error)
}

func (f jmesFunction) takes() string {
	switch {
	case f.variadic:
		return fmt.Sprintf("at least %d argument(s)", f.args)
	case f.args == 1:
		return "1 argument"
	}
	return fmt.Sprintf("%d arguments", f.args)
}

// jmesFunctions are the functions by name. None is left out, and none changes
// its arguments.
var jmesFunctions = map[string]jmesFunction{
	"abs":         {args: 1, call: numeric("abs", math.Abs)},
	"avg":         {args: 1, call: jmesAvg},
	"ceil":        {args: 1, call: numeric("ceil", math.Ceil)},
	"contains":    {args: 2, call: jmesContains},
	"ends_with":   {args: 2, call: textual("ends_with", strings.HasSuffix)},
	"floor":       {args: 1, call: numeric("floor", math.Floor)},
	"join":        {args: 2, call: jmesJoin},
	"keys":        {args: 1, call: jmesKeys},
	"length":      {args: 1, call: jmesLength},
	"map":         {args: 2, reference: 1, call: jmesMap},
	"max":         {args: 1, call: extreme("max", 1)},
	"max_by":      {args: 2, reference: 2, call: extremeBy("max_by", 1)},
	"merge":       {args: 1, variadic: true, call: jmesMerge},
	"min":         {args: 1, call: extreme("min", -1)},
	"min_by":      {args: 2, reference: 2, call: extremeBy("min_by", -1)},
	"not_null":    {args: 1, variadic: true, call: jmesNotNull},
	"reverse":     {args: 1, call: jmesReverse},
	"sort":        {args: 1, call: jmesSort},
	"sort_by":     {args: 2, reference: 2, call: jmesSortBy},
	"starts_with": {args: 2, call: textual("starts_with", strings.HasPrefix)},
	"sum":         {args: 1, call: jmesSum},
	"to_array":    {args: 1, call: jmesToArray},
	"to_number":   {args: 1, call: jmesToNumber},
	"to_string":   {args: 1, call: jmesToString},
	"type":        {args: 1, call: jmesType},
	"values":      {args: 1, call: jmesValues},
}

func wants(function, what string) error { return fmt.Errorf("%s: wants %s", function, what) }

// numeric is a function of one number.
func numeric(name string, f func(float64) float64) func(*evaluation, []any) (any, error) {
	return func(_ *evaluation, args []any) (any, error) {
		n, ok := number(args[0])
		if !ok {
			return nil, wants(name, "a number")
		}
		if n, ok := args[0].(json.Number); ok && isInteger(n) {
			// abs, ceil and floor of a whole number keep every digit.
			if name == "abs" {
				return json.Number(strings.TrimPrefix(string(n), "-")), nil
			}
			return n, nil
		}
		return f(n), nil
	}
}

// textual is a test of two strings.
func textual(name string, f func(string, string) bool) func(*evaluation, []any) (any, error) {
	return func(e *evaluation, args []any) (any, error) {
		a, ok := args[0].(string)
		b, also := args[1].(string)
		if !ok || !also {
			return nil, wants(name, "two strings")
		}
		return f(a, b), e.read(len(b))
	}
}

func jmesContains(e *evaluation, args []any) (any, error) {
	switch in := args[0].(type) {
	case string:
		part, ok := args[1].(string)
		if !ok {
			return false, nil
		}
		return strings.Contains(in, part), e.read(len(in))
	case []any:
		for _, element := range in {
			if same, err := e.equal(element, args[1]); err != nil || same {
				return same, err
			}
		}
		return false, nil
	}
	return nil, wants("contains", "a string or a list, and what to look for")
}

func jmesJoin(e *evaluation, args []any) (any, error) {
	glue, ok := args[0].(string)
	list, also := args[1].([]any)
	if !ok || !also {
		return nil, wants("join", "a string and a list of strings")
	}
	if err := e.work(1 + len(list)/8); err != nil {
		return nil, err
	}
	size := len(glue) * len(list)
	for _, element := range list {
		text, ok := element.(string)
		if !ok {
			return nil, wants("join", "a string and a list of strings")
		}
		if size += len(text); size > MaxBytes {
			return nil, errTooLong(MaxBytes)
		}
	}
	if err := e.grow(size); err != nil {
		return nil, err
	}
	if err := e.read(size); err != nil {
		return nil, err
	}
	var joined strings.Builder
	joined.Grow(size)
	for i, element := range list {
		if i > 0 {
			joined.WriteString(glue)
		}
		joined.WriteString(element.(string))
	}
	return joined.String(), nil
}

func jmesKeys(e *evaluation, args []any) (any, error) {
	object, ok := args[0].(map[string]any)
	if !ok {
		return nil, wants("keys", "an object")
	}
	keys, err := e.keys(object)
	list := make([]any, len(keys))
	for i, key := range keys {
		list[i] = key
	}
	return list, err
}

func jmesValues(e *evaluation, args []any) (any, error) {
	values, ok, err := e.objectValues(args[0])
	if !ok && err == nil {
		return nil, wants("values", "an object")
	}
	return values, err
}

func jmesLength(e *evaluation, args []any) (any, error) {
	switch v := args[0].(type) {
	case string:
		return float64(utf8.RuneCountInString(v)), e.read(len(v))
	case []any:
		return float64(len(v)), nil
	case map[string]any:
		return float64(len(v)), nil
	}
	return nil, wants("length", "a string, a list or an object")
}

func jmesMap(e *evaluation, args []any) (any, error) {
	list, ok := args[1].([]any)
	if !ok {
		return nil, wants("map", "an expression and a list")
	}
	return e.apply(args[0].(reference), list)
}

// apply evaluates the reference on each element.
func (e *evaluation) apply(ref reference, list []any) ([]any, error) {
	if err := e.grow(elementBytes * len(list)); err != nil {
		return nil, err
	}
	results := make([]any, len(list))
	for i, element := range list {
		result, err := e.evaluate(ref.node, element)
		if err != nil {
			return nil, err
		}
		results[i] = result
	}
	return results, nil
}

func jmesMerge(e *evaluation, args []any) (any, error) {
	merged := map[string]any{}
	for _, arg := range args {
		object, ok := arg.(map[string]any)
		if !ok {
			return nil, wants("merge", "objects")
		}
		if err := e.work(1 + len(object)); err != nil {
			return nil, err
		}
		if err := e.grow(objectBytes + 3*elementBytes*len(object)); err != nil {
			return nil, err
		}
		for key, value := range object {
			merged[key] = value
		}
	}
	return merged, nil
}

func jmesNotNull(_ *evaluation, args []any) (any, error) {
	for _, arg := range args {
		if arg != nil {
			return arg, nil
		}
	}
	return nil, nil
}

func jmesReverse(e *evaluation, args []any) (any, error) {
	switch v := args[0].(type) {
	case string:
		if err := e.read(len(v)); err != nil {
			return nil, err
		}
		if err := e.grow(5 * len(v)); err != nil { // four for the runes, one for the text
			return nil, err
		}
		runes := []rune(v)
		slices.Reverse(runes)
		return string(runes), nil
	case []any:
		if err := e.grow(elementBytes * len(v)); err != nil {
			return nil, err
		}
		reversed := slices.Clone(v)
		slices.Reverse(reversed)
		return reversed, e.work(len(v) / 8)
	}
	return nil, wants("reverse", "a string or a list")
}

func jmesToArray(e *evaluation, args []any) (any, error) {
	if list, ok := args[0].([]any); ok {
		return list, nil
	}
	return []any{args[0]}, e.grow(elementBytes)
}

// jmesToNumber keeps the digits of a string that is a number.
func jmesToNumber(e *evaluation, args []any) (any, error) {
	switch v := args[0].(type) {
	case json.Number, float64:
		return v, nil
	case string:
		if len(v) > 1000 || v == "" || strings.TrimLeft(v[:1], "-0123456789") != "" || !json.Valid([]byte(v)) {
			return nil, nil
		}
		if v != strings.TrimSpace(v) {
			return nil, nil
		}
		return json.Number(v), e.read(len(v))
	}
	return nil, nil
}

func jmesToString(e *evaluation, args []any) (any, error) {
	if text, ok := args[0].(string); ok {
		return text, nil
	}
	encoded, err := appendJSON(nil, args[0], min(MaxBytes, e.bytes))
	if err != nil {
		return nil, err
	}
	if err := e.grow(2 * len(encoded)); err != nil {
		return nil, err
	}
	// Every byte of JSON may have been a value to visit.
	return string(encoded), e.work(1 + len(encoded)/8)
}

func jmesType(_ *evaluation, args []any) (any, error) {
	switch args[0].(type) {
	case nil:
		return "null", nil
	case bool:
		return "boolean", nil
	case string:
		return "string", nil
	case []any:
		return "array", nil
	case map[string]any:
		return "object", nil
	}
	return "number", nil
}
