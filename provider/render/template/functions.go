package template

import (
	"sync"

	"github.com/Masterminds/sprig/v3"
)

// function is what a template may call: a Go function and the maximum memory of a
// call. text/template calls it with arguments of its types.
type function struct {
	call any
	// cost is at least the bytes of the result that are not shared with an
	// argument. It is asked before the call.
	cost func(args []any, size size) int
	// bytes tells functions that keep every byte of text that is not UTF-8. All
	// others get none: they would read, cut or replace what is no character.
	bytes bool
	// sprig tells Sprig's functions, whose errors are not to be shown.
	sprig bool
}

// The usual costs: nothing, because the result is a number, a boolean or shares
// its arguments' memory; a few times the arguments' text; a list or object over
// the same elements.
func nothing([]any, size) int { return 0 }

func times(n int) func([]any, size) int {
	return func(_ []any, s size) int { return n*s.bytes + 256 }
}

func entries(args []any, s size) int { return 128 * (s.entries + len(args)) }

// functions are the functions by name: those that a configuration file needs.
// Each has a cost that must be right for every argument, so a function whose work
// another one can do has no place here. Those of Sprig are the ones that give equal
// results for equal arguments, touch nothing outside, and fail rather than make
// something up; where Sprig's own turns a mistake into a value (b64dec, fromJson,
// int), this package's takes its place under the same name.
var functions = sync.OnceValue(func() map[string]function {
	byName := map[string]function{
		// The language's own.
		"eq": {call: eq, cost: nothing}, "ne": {call: ne, cost: nothing},
		"lt": {call: lt, cost: nothing}, "le": {call: le, cost: nothing}, "gt": {call: gt, cost: nothing}, "ge": {call: ge, cost: nothing},
		"html":     {call: escapeHTML, cost: times(5)},
		"index":    {call: indexOf, cost: nothing},
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
		"b64dec":   {call: b64dec, cost: times(1)},
		"fromJson": {call: fromJSON, cost: costOfParse},
		"toJson":   {call: toJSON, cost: times(6)},

		// Numbers.
		"add": {call: add, cost: nothing}, "sub": {call: sub, cost: nothing}, "int": {call: integer, cost: nothing},

		// Objects.
		"dict": {call: dict, cost: entries},
	}
	fromSprig := func(cost func([]any, size) int, names ...string) {
		for _, name := range names {
			byName[name] = function{cost: cost, sprig: true}
		}
	}
	fromSprig(nothing, "contains", "hasPrefix", "hasSuffix", "trim", "trimPrefix", "trimSuffix", "default", "hasKey")
	fromSprig(times(2), "b64enc")
	fromSprig(times(3), "lower", "upper", "title")
	fromSprig(entries, "list")
	fromSprig(costOfIndent, "indent", "nindent")
	fromSprig(costOfReplace, "replace")
	fromSprig(costOfSplit, "split", "splitList")

	for _, name := range []string{
		"eq", "ne", "lt", "le", "gt", "ge", "index", "len", "print", "println", "slice", "toString", "dict", "default", "hasKey", "b64enc", "list",
	} {
		f := byName[name]
		f.bytes = true
		byName[name] = f
	}

	all := sprig.GenericFuncMap()
	for name, f := range byName {
		if f.sprig {
			f.call = all[name]
			byName[name] = f
		}
	}
	return byName
})

// parsedNames are the names that a template's text may use, for the parser.
func parsedNames() map[string]any {
	// and, or and not are part of the language: they cost nothing, and the
	// first two do not evaluate what they do not need.
	names := map[string]any{"and": true, "or": true, "not": true}
	for name := range functions() {
		names[name] = true
	}
	return names
}
