package manifest

import (
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/internal/strict"
)

// scalarAt is the text of a field, empty if it is not there.
func scalarAt(node *yaml.Node, field string) string {
	if _, value, ok := strict.Find(node, field); ok && value.Kind == yaml.ScalarNode {
		return value.Value
	}
	return ""
}

// inside returns where in the file stands what is at the given line and column
// of a scalar's text. Whatever YAML does to a scalar, folding, indenting and
// escaping, it leaves the characters that are not white space in their order,
// so the place is found by counting those.
func (f *file) inside(scalar *yaml.Node, line, column int) (fileLine, fileColumn int) {
	before := 0
	for i, text := range strings.Split(scalar.Value, "\n") {
		if i+1 > line {
			break
		}
		for j, r := range []rune(text) {
			if i+1 == line && j+1 >= column {
				break
			}
			if !unicode.IsSpace(r) {
				before++
			}
		}
	}
	s := source{lines: f.lines, line: scalar.Line - 1, column: scalar.Column - 1}
	s.open(scalar.Style)
	fileLine, fileColumn = scalar.Line, scalar.Column
	for {
		at, visible, ok := s.next(scalar.Style)
		if !ok {
			return fileLine, fileColumn
		}
		if visible {
			fileLine, fileColumn = at[0]+1, at[1]+1
			if before == 0 {
				return fileLine, fileColumn
			}
			before--
		}
	}
}

// source reads a scalar's characters as they are written; line and column
// count from zero.
type source struct {
	lines        [][]rune
	line, column int
}

// open moves to the first character of the text.
func (s *source) open(style yaml.Style) {
	switch {
	case style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		s.line, s.column = s.line+1, 0
	case style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		// An anchor may stand before the quote.
		for r, ok := s.take(); ok && r != '\'' && r != '"'; r, ok = s.take() {
		}
	}
}

// take returns one character as it stands in the file, a line break for each
// end of a line.
func (s *source) take() (rune, bool) {
	if s.line >= len(s.lines) {
		return 0, false
	}
	if s.column >= len(s.lines[s.line]) {
		s.line, s.column = s.line+1, 0
		return '\n', true
	}
	s.column++
	return s.lines[s.line][s.column-1], true
}

// next returns the place of the text's next character and whether one can see it.
func (s *source) next(style yaml.Style) (at [2]int, visible, ok bool) {
	at = [2]int{s.line, s.column}
	r, ok := s.take()
	switch {
	case !ok:
		return at, false, false
	case r == '\'' && style&yaml.SingleQuotedStyle != 0:
		r, ok = s.take() // a quote in the text is written twice
		return at, r == '\'', ok && r == '\''
	case r == '"' && style&yaml.DoubleQuotedStyle != 0:
		return at, false, false
	case r == '\\' && style&yaml.DoubleQuotedStyle != 0:
		return at, !unicode.IsSpace(s.escape()), true
	}
	return at, !unicode.IsSpace(r), true
}

// escape reads what follows a backslash and returns the character that it
// stands for, or a space for one that cannot be seen.
func (s *source) escape() rune {
	r, _ := s.take()
	switch r {
	case 'n', 'r', 't', '\t', 'v', 'f', ' ', '\n', 'N', '_', 'L', 'P':
		return ' '
	case 'x', 'u', 'U':
		digits := make([]rune, map[rune]int{'x': 2, 'u': 4, 'U': 8}[r])
		for i := range digits {
			digits[i], _ = s.take()
		}
		code, err := strconv.ParseInt(string(digits), 16, 32)
		if err != nil {
			return 'x'
		}
		return rune(code)
	}
	return r
}

// runes splits a file into lines of characters.
func runes(data []byte) [][]rune {
	var lines [][]rune
	for line := range strings.SplitSeq(string(data), "\n") {
		lines = append(lines, []rune(line))
	}
	return lines
}
