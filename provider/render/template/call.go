package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	gotemplate "text/template"
	"unicode/utf8"

	"github.com/lanyardhq/lanyard/provider/render"
)

// maxTransient is the maximum memory that one call of a function may need while it
// works. It is more than what may be kept, because the costs are for the worst
// text there is.
const maxTransient = 6 * render.MaxBytes

// execution is one execution of a template.
type execution struct {
	render.Budget
	reserve  func(bytes int64) error // nil if nothing is to be reserved
	reserved int64
}

// make reserves what a call makes while it works, beside what is kept of the calls
// before.
func (x *execution) make(transient int) error {
	kept := templateBytes - x.Bytes
	missing := int64(kept+transient) - x.reserved
	if x.reserve == nil || missing <= 0 {
		return nil
	}
	x.reserved += missing
	return x.reserve(missing)
}

// callError is why a function failed. Reason holds no part of a value.
type callError struct {
	function string
	reason   error
}

func (e *callError) Error() string { return e.function + ": " + e.reason.Error() }
func (e *callError) Unwrap() error { return e.reason }

// functions returns the functions of these names, each of which takes what it
// costs from this execution's budget.
func (x *execution) functions(names []string) gotemplate.FuncMap {
	all := functions()
	bounded := gotemplate.FuncMap{stepFunction: x.step, printFunction: x.print}
	for _, name := range names {
		if f, ok := all[name]; ok {
			bounded[name] = x.bounded(name, f)
		}
	}
	return bounded
}

// step begins a turn of a loop whose body has this many nodes.
func (x *execution) step(nodes int) (string, error) {
	if err := x.Work(1 + nodes); err != nil {
		return "", &callError{"range", err}
	}
	return "", nil
}

// print gives the text of what an action prints.
func (x *execution) print(v any) (string, error) {
	result, err := text(v)
	if err == nil {
		err = x.Read(len(result))
	}
	if err != nil {
		return "", &callError{"", err}
	}
	return result, nil
}

// bounded wraps a function in one of the same parameters that fails, instead of
// calling it, if it would cost too much.
func (x *execution) bounded(name string, f function) any {
	inner := reflect.ValueOf(f.call)
	t := inner.Type()
	in := make([]reflect.Type, t.NumIn())
	for i := range in {
		in[i] = t.In(i)
	}
	out := []reflect.Type{t.Out(0), reflect.TypeFor[error]()}
	return reflect.MakeFunc(reflect.FuncOf(in, out, t.IsVariadic()), func(args []reflect.Value) []reflect.Value {
		result, err := x.call(f, inner, args)
		if err != nil {
			err = &callError{name, err}
			return []reflect.Value{reflect.Zero(out[0]), reflect.ValueOf(&err).Elem()}
		}
		return []reflect.Value{result, reflect.Zero(out[1])}
	}).Interface()
}

func (x *execution) call(f function, inner reflect.Value, args []reflect.Value) (result reflect.Value, err error) {
	plain := spread(args, inner.Type().IsVariadic())
	s, err := x.measure(plain, f.bytes)
	if err != nil {
		return result, err
	}
	cost := f.cost(plain, s)
	if cost > maxTransient {
		return result, fmt.Errorf("%w: it would make too much text", render.ErrTooLarge)
	}
	if err := x.make(cost); err != nil {
		return result, err
	}
	// Sprig's functions panic on arguments that they cannot take, and may quote
	// them in errors.
	defer func() {
		if recover() != nil {
			err = errArguments
		}
	}()
	var results []reflect.Value
	if inner.Type().IsVariadic() {
		results = inner.CallSlice(args)
	} else {
		results = inner.Call(args)
	}
	if len(results) == 2 && !results[1].IsNil() {
		if f.sprig {
			return result, errArguments
		}
		return result, results[1].Interface().(error)
	}
	if results[0].Kind() == reflect.String {
		cost = min(cost, results[0].Len())
	}
	return results[0], x.Grow(cost)
}

var errNotText = errors.New("the value holds bytes that are not UTF-8, so it is no text; b64enc, print and what compares take any bytes")

var errArguments = errors.New("it does not take these arguments")

// spread returns a call's arguments one by one.
func spread(args []reflect.Value, variadic bool) []any {
	var plain []any
	for i, arg := range args {
		if variadic && i == len(args)-1 {
			for j := range arg.Len() {
				plain = append(plain, arg.Index(j).Interface())
			}
			break
		}
		plain = append(plain, arg.Interface())
	}
	return plain
}

// size is how much the arguments of a call hold: the bytes of all their text,
// however deep and however often, and the entries of the outermost lists and
// objects.
type size struct {
	bytes   int
	entries int
	anyByte bool // text need not be UTF-8
}

// scalarBytes is the maximum size of a number or a boolean as text, and more than a
// list or an object adds to its elements.
const scalarBytes = 32

// measure takes the steps for looking at all of the arguments, and refuses text that
// is not UTF-8 unless the function takes any bytes.
func (x *execution) measure(args []any, anyByte bool) (size, error) {
	s := size{anyByte: anyByte}
	for _, arg := range args {
		if err := x.visit(arg, &s); err != nil {
			return s, err
		}
		if _, isText := arg.(string); !isText {
			n, _ := length(arg) //nolint:errcheck // a scalar has no entries
			s.entries += n
		}
	}
	return s, x.Read(s.bytes)
}

func (x *execution) visit(v any, s *size) error {
	switch v := v.(type) {
	case string:
		s.bytes += len(v)
		if !s.anyByte && !utf8.ValidString(v) {
			return errNotText
		}
		return nil
	case json.Number:
		s.bytes += len(v)
		return nil
	case []any:
		return visitList(x, v, s)
	case []string:
		return visitList(x, v, s)
	case map[string]any:
		return visitObject(x, v, s)
	case map[string]string:
		return visitObject(x, v, s)
	}
	s.bytes += scalarBytes
	return nil
}

func visitList[T any](x *execution, list []T, s *size) error {
	s.bytes += scalarBytes
	if err := x.Work(1 + len(list)/8); err != nil {
		return err
	}
	for _, element := range list {
		if err := x.visit(element, s); err != nil {
			return err
		}
	}
	return nil
}

func visitObject[T any](x *execution, object map[string]T, s *size) error {
	s.bytes += scalarBytes
	if err := x.Work(1 + len(object)/2); err != nil {
		return err
	}
	for key, value := range object {
		s.bytes += len(key)
		if !s.anyByte && !utf8.ValidString(key) {
			return errNotText
		}
		if err := x.visit(value, s); err != nil {
			return err
		}
	}
	return nil
}
