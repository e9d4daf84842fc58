package template

import "strings"

// The costs of functions whose result can be far larger than their arguments.

// product is a times b, or more than maxTransient if it is; negative is zero.
func product(a, b int) int {
	if a <= 0 || b <= 0 {
		return 0
	}
	if a > maxTransient/b {
		return maxTransient + 1
	}
	return a * b
}

// costOfIndent is of indent and nindent: spaces, text.
func costOfIndent(args []any, s size) int {
	lines := 1 + strings.Count(args[1].(string), "\n")
	return s.bytes + 1 + product(lines, args[0].(int))
}

// costOfReplace is of replace: old, new, text.
func costOfReplace(args []any, s size) int {
	before, after, in := args[0].(string), args[1].(string), args[2].(string)
	return s.bytes + product(strings.Count(in, before), len(after))
}

// costOfSplit is of split and splitList: separator, text. Splitting by nothing
// makes an entry of each character.
func costOfSplit(args []any, _ size) int {
	return product(1+strings.Count(args[1].(string), args[0].(string)), 128)
}

// costOfJoin is of join: separator, list.
func costOfJoin(args []any, s size) int {
	return s.bytes + scalarBytes*s.entries + product(s.entries, len(args[0].(string)))
}

// costOfParse is of fromJson: the text may be many small values.
func costOfParse(args []any, s size) int {
	in := args[0].(string)
	return s.bytes + product(strings.Count(in, ",")+strings.Count(in, "{")+strings.Count(in, "["), 200)
}

// costOfFormat is of printf: format, arguments, each of which is used once.
func costOfFormat(args []any, s size) int {
	verbs := strings.Count(args[0].(string), "%")
	return 5*s.bytes + product(verbs, 2*maxWidth+400)
}
