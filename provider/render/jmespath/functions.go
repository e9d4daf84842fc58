package jmespath

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/lanyardhq/lanyard/provider/render"
)

// function is one function of the specification.
type function struct {
	args      int  // how many arguments it takes, or the minimum if variadic
	variadic  bool // takes more of them
	reference int  // which argument is an expression, counted from one; zero for none
	call      func(e *evaluation, args []any) (any, error)
}

func (f function) takes() string {
	switch {
	case f.variadic:
		return fmt.Sprintf("at least %d argument(s)", f.args)
	case f.args == 1:
		return "1 argument"
	}
	return fmt.Sprintf("%d arguments", f.args)
}

// functions are the functions by name. None is left out, and none changes
// its arguments.
var functions = map[string]function{
	"abs":         {args: 1, call: numeric("abs", absolute)},
	"avg":         {args: 1, call: average},
	"ceil":        {args: 1, call: numeric("ceil", func(n json.Number) (json.Number, error) { return render.Whole(n, true) })},
	"contains":    {args: 2, call: contains},
	"ends_with":   {args: 2, call: textual("ends_with", strings.HasSuffix)},
	"floor":       {args: 1, call: numeric("floor", func(n json.Number) (json.Number, error) { return render.Whole(n, false) })},
	"join":        {args: 2, call: join},
	"keys":        {args: 1, call: keysOf},
	"length":      {args: 1, call: length},
	"map":         {args: 2, reference: 1, call: mapped},
	"max":         {args: 1, call: extreme("max", 1)},
	"max_by":      {args: 2, reference: 2, call: extremeBy("max_by", 1)},
	"merge":       {args: 1, variadic: true, call: merge},
	"min":         {args: 1, call: extreme("min", -1)},
	"min_by":      {args: 2, reference: 2, call: extremeBy("min_by", -1)},
	"not_null":    {args: 1, variadic: true, call: notNull},
	"reverse":     {args: 1, call: reverse},
	"sort":        {args: 1, call: sorted},
	"sort_by":     {args: 2, reference: 2, call: sortedBy},
	"starts_with": {args: 2, call: textual("starts_with", strings.HasPrefix)},
	"sum":         {args: 1, call: sum},
	"to_array":    {args: 1, call: toArray},
	"to_number":   {args: 1, call: toNumber},
	"to_string":   {args: 1, call: toString},
	"type":        {args: 1, call: typeOf},
	"values":      {args: 1, call: valuesOf},
}

func wants(function, what string) error { return fmt.Errorf("%s: wants %s", function, what) }

// numeric is a function of one number.
func numeric(name string, f func(json.Number) (json.Number, error)) func(*evaluation, []any) (any, error) {
	return func(e *evaluation, args []any) (any, error) {
		n, ok := args[0].(json.Number)
		if !ok {
			return nil, wants(name, "a number")
		}
		if err := e.Read(len(n)); err != nil {
			return nil, err
		}
		result, err := f(n)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return result, nil
	}
}

// absolute keeps every digit.
func absolute(n json.Number) (json.Number, error) {
	return json.Number(strings.TrimPrefix(string(n), "-")), nil
}

// textual is a test of two strings.
func textual(name string, f func(string, string) bool) func(*evaluation, []any) (any, error) {
	return func(e *evaluation, args []any) (any, error) {
		a, ok := args[0].(string)
		b, also := args[1].(string)
		if !ok || !also {
			return nil, wants(name, "two strings")
		}
		return f(a, b), e.Read(len(b))
	}
}

func contains(e *evaluation, args []any) (any, error) {
	switch in := args[0].(type) {
	case string:
		part, ok := args[1].(string)
		if !ok {
			return false, nil
		}
		return strings.Contains(in, part), e.Read(len(in))
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

func join(e *evaluation, args []any) (any, error) {
	glue, ok := args[0].(string)
	list, also := args[1].([]any)
	if !ok || !also {
		return nil, wants("join", "a string and a list of strings")
	}
	if err := e.Work(1 + len(list)/8); err != nil {
		return nil, err
	}
	size := len(glue) * len(list)
	for _, element := range list {
		text, ok := element.(string)
		if !ok {
			return nil, wants("join", "a string and a list of strings")
		}
		if size += len(text); size > render.MaxBytes {
			return nil, render.TooLong(render.MaxBytes)
		}
	}
	if err := e.Grow(size); err != nil {
		return nil, err
	}
	if err := e.Read(size); err != nil {
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

func keysOf(e *evaluation, args []any) (any, error) {
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

func valuesOf(e *evaluation, args []any) (any, error) {
	values, ok, err := e.objectValues(args[0])
	if !ok && err == nil {
		return nil, wants("values", "an object")
	}
	return values, err
}

func length(e *evaluation, args []any) (any, error) {
	switch v := args[0].(type) {
	case string:
		return count(utf8.RuneCountInString(v)), e.Read(len(v))
	case []any:
		return count(len(v)), nil
	case map[string]any:
		return count(len(v)), nil
	}
	return nil, wants("length", "a string, a list or an object")
}

func count(n int) json.Number { return json.Number(strconv.Itoa(n)) }

func mapped(e *evaluation, args []any) (any, error) {
	list, ok := args[1].([]any)
	if !ok {
		return nil, wants("map", "an expression and a list")
	}
	return e.apply(args[0].(reference), list)
}

// apply evaluates the reference on each element.
func (e *evaluation) apply(ref reference, list []any) ([]any, error) {
	if err := e.Grow(elementBytes * len(list)); err != nil {
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

func merge(e *evaluation, args []any) (any, error) {
	merged := map[string]any{}
	for _, arg := range args {
		object, ok := arg.(map[string]any)
		if !ok {
			return nil, wants("merge", "objects")
		}
		if err := e.Work(1 + len(object)); err != nil {
			return nil, err
		}
		if err := e.Grow(objectBytes + 3*elementBytes*len(object)); err != nil {
			return nil, err
		}
		maps.Copy(merged, object)
	}
	return merged, nil
}

func notNull(_ *evaluation, args []any) (any, error) {
	for _, arg := range args {
		if arg != nil {
			return arg, nil
		}
	}
	return nil, nil
}

func reverse(e *evaluation, args []any) (any, error) {
	switch v := args[0].(type) {
	case string:
		if err := e.Read(len(v)); err != nil {
			return nil, err
		}
		if err := e.Grow(5 * len(v)); err != nil { // four for the runes, one for the text
			return nil, err
		}
		runes := []rune(v)
		slices.Reverse(runes)
		return string(runes), nil
	case []any:
		if err := e.Grow(elementBytes * len(v)); err != nil {
			return nil, err
		}
		reversed := slices.Clone(v)
		slices.Reverse(reversed)
		return reversed, e.Work(len(v) / 8)
	}
	return nil, wants("reverse", "a string or a list")
}

func toArray(e *evaluation, args []any) (any, error) {
	if list, ok := args[0].([]any); ok {
		return list, nil
	}
	return []any{args[0]}, e.Grow(elementBytes)
}

// toNumber keeps the digits of a string that is a number.
func toNumber(e *evaluation, args []any) (any, error) {
	switch v := args[0].(type) {
	case json.Number:
		return v, nil
	case string:
		if len(v) > 1000 || v == "" || strings.TrimLeft(v[:1], "-0123456789") != "" || !json.Valid([]byte(v)) {
			return nil, nil
		}
		if v != strings.TrimSpace(v) {
			return nil, nil
		}
		return json.Number(v), e.Read(len(v))
	}
	return nil, nil
}

func toString(e *evaluation, args []any) (any, error) {
	if text, ok := args[0].(string); ok {
		return text, nil
	}
	encoded, err := render.AppendJSON(nil, args[0], min(render.MaxBytes, e.Bytes))
	if err != nil {
		return nil, err
	}
	if err := e.Grow(2 * len(encoded)); err != nil {
		return nil, err
	}
	// Every byte of JSON may have been a value to visit.
	return string(encoded), e.Work(1 + len(encoded)/8)
}

func typeOf(_ *evaluation, args []any) (any, error) {
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
