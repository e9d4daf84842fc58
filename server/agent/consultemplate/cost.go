package consultemplate

import (
	"encoding/json"
	"reflect"
	"strings"
	gotemplate "text/template"
)

const (
	// maxWork bounds what all calls and steps of a rendering make together, in bytes, whether
	// it is written or not.
	maxWork = 64 << 20
	// nodeCost is what a node of a template costs for each time that a loop comes to it.
	nodeCost = 8
	// leafCost is what a part of a value costs beside its text.
	leafCost = 32
)

// escapers are the functions of Go's templates that make texts.
var escapers = map[string]any{"html": gotemplate.HTMLEscaper, "js": gotemplate.JSEscaper, "urlquery": gotemplate.URLQueryEscaper}

// readers are the functions of Go's templates that read texts, and make none.
var readers = []string{"index", "eq", "ne", "lt", "le", "gt", "ge"}

// factors are how many bytes functions allocate for one at most; others make the six of a
// character that JSON escapes.
var factors = map[string]int{"toYAML": 32, "parseJSON": 24, "split": 24, paidName: 1}

// perLevel are the spaces by which functions indent each level of a value.
var perLevel = map[string]int{"toJSONPretty": 2, "toYAML": 4}

// pay takes bytes from the budget of the rendering.
func (x *execution) pay(bytes int) error {
	if x.work += bytes; x.work > maxWork {
		return problemf("its functions and loops handle more than %d bytes in all", maxWork)
	}
	return nil
}

// charged is a function that is paid for before it is called, by the size of what it gets,
// and again by the size of the text that it makes, which is bounded.
func (x *execution) charged(name string, function any) any {
	f := reflect.ValueOf(function)
	var in []reflect.Type
	for i := range f.Type().NumIn() {
		in = append(in, f.Type().In(i))
	}
	failure := reflect.TypeFor[error]()
	factor := factors[name]
	if factor == 0 {
		factor = 6
	}
	out := []reflect.Type{f.Type().Out(0), failure}
	fail := func(err error) []reflect.Value {
		return []reflect.Value{reflect.Zero(out[0]), reflect.ValueOf(&err).Elem()}
	}
	return reflect.MakeFunc(reflect.FuncOf(in, out, f.Type().IsVariadic()), func(args []reflect.Value) []reflect.Value {
		m := measure{leaf: leafCost, perLevel: perLevel[name], limit: maxWork}
		for _, arg := range args {
			m.value(arg.Interface(), 0)
		}
		if err := x.pay(m.size * factor); err != nil {
			return fail(err)
		}
		var results []reflect.Value
		if f.Type().IsVariadic() {
			results = f.CallSlice(args)
		} else {
			results = f.Call(args)
		}
		if len(results) == 1 {
			results = append(results, reflect.Zero(failure))
		}
		if text, ok := results[0].Interface().(string); ok && name != paidName {
			if err := bounded(name, len(text)); err != nil {
				return fail(err)
			}
			if err := x.pay(len(text)); err != nil {
				return fail(err)
			}
		}
		return results
	}).Interface()
}

// measure finds how large a value is as text, without making any. It stops above the limit.
type measure struct {
	leaf     int // of each part of a value
	perLevel int // of each part and each line, for every level that it is within
	limit    int
	size     int
}

func (m *measure) value(v any, level int) {
	if m.size > m.limit {
		return
	}
	indent := m.perLevel * level
	m.size += m.leaf + indent
	switch v := v.(type) {
	case string:
		m.size += len(v)
		if indent > 0 {
			m.size += strings.Count(v, "\n") * indent
		}
	case json.Number:
		m.size += len(v)
	case map[string]any:
		for key, one := range v {
			m.value(key, level+1)
			m.value(one, level+1)
		}
	case []any:
		for _, one := range v {
			m.value(one, level+1)
		}
	case []string:
		for _, one := range v {
			m.value(one, level+1)
		}
	case nil, bool, int, int32, int64, uint8:
	default: // a complex number is the longest
		m.size += 800
	}
}
