package render

import (
	"sync"

	"github.com/Masterminds/sprig/v3"
)

// function is what a template may call: a Go function and how much memory a
// call makes at most. text/template calls it with arguments of its types.
type function struct {
	call any
	// cost is at least the bytes of the result that are not shared with an
	// argument. It is asked before the call.
	cost func(args []any, size size) int
	// sprig tells Sprig's functions, whose errors are not to be shown.
	sprig bool
}

// The usual costs: nothing, because the result is a number, a truth or shares
// its arguments' memory; a few times the arguments' text; a list or object over
// the same elements.
func nothing([]any, size) int { return 0 }

func times(n int) func([]any, size) int {
	return func(_ []any, s size) int { return n*s.bytes + 256 }
}

func entries(args []any, s size) int { return 128 * (s.entries + len(args)) }

// templateFunctions are the functions by name. Those of Sprig are the ones
// that give equal results for equal arguments, touch nothing outside, and fail
// rather than make something up; where Sprig's own turns a mistake into a
// value (b64dec, fromJson, int) or depends on the order of a map (keys,
// values), this package's takes its place under the same name.
var templateFunctions = sync.OnceValue(func() map[string]function {
	functions := map[string]function{
		// The language's own.
		"eq": {call: eq, cost: nothing}, "ne": {call: ne, cost: nothing},
		"lt": {call: lt, cost: nothing}, "le": {call: le, cost: nothing}, "gt": {call: gt, cost: nothing}, "ge": {call: ge, cost: nothing},
		"html":     {call: escapeHTML, cost: times(5)},
		"index":    {call: indexOf, cost: nothing},
		"js":       {call: escapeJS, cost: times(6)},
		"len":      {call: length, cost: nothing},
		"print":    {call: printed, cost: times(1)},
		"printf":   {call: formatted, cost: costOfFormat},
		"println":  {call: printedLine, cost: times(1)},
		"slice":    {call: sliced, cost: nothing},
		"urlquery": {call: escapeQuery, cost: times(3)},

		// Strings.
		"join":     {call: joined, cost: costOfJoin},
		"quote":    {call: quoted, cost: times(4)},
		"squote":   {call: squoted, cost: times(2)},
		"toString": {call: text, cost: times(1)},

		// Encodings.
		"b64dec":       {call: b64dec, cost: times(1)},
		"fromJson":     {call: fromJSON, cost: costOfParse},
		"mustFromJson": {call: fromJSON, cost: costOfParse},
		"mustToJson":   {call: toJSON, cost: times(6)},
		"toJson":       {call: toJSON, cost: times(6)},
		"toRawJson":    {call: toJSON, cost: times(6)},

		// Numbers.
		"add": {call: add, cost: nothing}, "add1": {call: add1, cost: nothing}, "sub": {call: sub, cost: nothing},
		"mul": {call: mul, cost: nothing}, "div": {call: div, cost: nothing}, "mod": {call: mod, cost: nothing},
		"max": {call: largest, cost: nothing}, "min": {call: smallest, cost: nothing},
		"int": {call: toInt, cost: nothing}, "int64": {call: toInt, cost: nothing}, "float64": {call: toFloat, cost: nothing},

		// Lists and objects.
		"dict":      {call: dict, cost: entries},
		"keys":      {call: keys, cost: entries},
		"values":    {call: values, cost: entries},
		"sortAlpha": {call: sortedTexts, cost: entries},
	}
	fromSprig := func(cost func([]any, size) int, names ...string) {
		for _, name := range names {
			functions[name] = function{cost: cost, sprig: true}
		}
	}
	fromSprig(nothing,
		"contains", "hasPrefix", "hasSuffix",
		"trim", "trimAll", "trimPrefix", "trimSuffix", "trunc", "substr",
		"coalesce", "default", "empty", "ternary",
		"dig", "first", "has", "hasKey", "last")
	fromSprig(times(1), "nospace", "sha1sum", "sha256sum", "sha512sum")
	fromSprig(times(2), "b64enc")
	fromSprig(times(3), "lower", "title", "upper")
	fromSprig(entries,
		"append", "compact", "concat", "initial", "list", "omit", "pick",
		"prepend", "rest", "reverse")
	fromSprig(costOfIndent, "indent", "nindent")
	fromSprig(costOfRepeat, "repeat")
	fromSprig(costOfReplace, "replace")
	fromSprig(costOfSplit, "split", "splitList")

	all := sprig.GenericFuncMap()
	for name, f := range functions {
		if f.sprig {
			f.call = all[name]
			functions[name] = f
		}
	}
	return functions
})

// parsedNames are the names that a template's text may use, for the parser.
func parsedNames() map[string]any {
	// and, or and not are part of the language: they cost nothing, and the
	// first two do not evaluate what they do not need.
	names := map[string]any{"and": true, "or": true, "not": true}
	for name := range templateFunctions() {
		names[name] = true
	}
	return names
}
