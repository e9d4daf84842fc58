// Package jsonscan reads the JSON that comes with each mount: objects of which some
// strings are wanted. It accepts what encoding/json does, except that null is no string,
// and an error repeats nothing of the text.
//
// It is kept for its speed alone: a mount that is answered from memory takes a third more
// time with encoding/json of Go 1.27.3, half of it for growing the goroutine's stack.
// BenchmarkMount of server/csi and BenchmarkAccountUID of provider/identity show it.
//
// Start with Strings or Find.
package jsonscan

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep objects and lists may lie in each other where they are passed over.
const maxDepth = 100

// SyntaxError says at which byte, counted from one, a text stops being the
// JSON that is wanted. It does not say what stands there.
type SyntaxError int

// Error implements error.
func (e SyntaxError) Error() string { return fmt.Sprintf("byte %d is not what belongs there", int(e)) }

// Strings decodes an object of strings and calls each for every one of them, in their
// order. Nothing and null are an empty object. A name may be a part of the text; a value
// is none. The error is a SyntaxError.
func Strings(text string, each func(name, value string)) error {
	if text == "" || text == "null" {
		return nil
	}
	s := New(text)
	err := s.Object(func(name string) error {
		value, err := s.String()
		if err == nil {
			each(name, value)
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.End()
}

// Find returns the JSON of the value at a path of names, a part of the text; empty if
// there is none. Of several values with one name it is the last. The error is a
// SyntaxError.
func Find(text string, path ...string) (string, error) {
	s := New(text)
	s.space()
	found, err := s.find(path)
	if err != nil {
		return "", err
	}
	return found, s.End()
}

// find is Find for the value that comes next.
func (s *Scanner) find(path []string) (found string, err error) {
	start := s.at
	if len(path) == 0 {
		err = s.Skip()
		return s.text[start:s.at], err
	}
	if !s.is('{') {
		return "", s.Skip()
	}
	err = s.Object(func(name string) (err error) {
		if name != path[0] {
			return s.Skip()
		}
		found, err = s.find(path[1:])
		return err
	})
	return found, err
}

// Scanner reads JSON from the front. What is not valid UTF-8 is left as it is.
type Scanner struct {
	text  string
	at    int
	depth int // of what is passed over
}

// New returns a Scanner at the front of a text.
func New(text string) *Scanner { return &Scanner{text: text} }

func (s *Scanner) fail() error { return SyntaxError(s.at + 1) }

// Object reads an object and calls value for each name, to read what belongs
// to it. A name may be a part of the text.
func (s *Scanner) Object(value func(name string) error) error {
	if !s.take('{') {
		return s.fail()
	}
	if s.take('}') {
		return nil
	}
	for {
		s.space()
		name, err := s.Part()
		if err != nil {
			return err
		}
		if !s.take(':') {
			return s.fail()
		}
		s.space()
		if err := value(name); err != nil {
			return err
		}
		if s.take('}') {
			return nil
		}
		if !s.take(',') {
			return s.fail()
		}
	}
}

// End says whether nothing follows.
func (s *Scanner) End() error {
	s.space()
	if s.at < len(s.text) {
		return s.fail()
	}
	return nil
}

// Skip passes over a value of any kind.
func (s *Scanner) Skip() error {
	if s.depth++; s.depth > maxDepth {
		return s.fail()
	}
	defer func() { s.depth-- }()
	switch {
	case s.is('"'):
		_, err := s.Part()
		return err
	case s.is('{'):
		return s.Object(func(string) error { return s.Skip() })
	case s.is('['):
		return s.list()
	case s.word("true"), s.word("false"), s.word("null"), s.number():
		return nil
	}
	return s.fail()
}

// list passes over a list.
func (s *Scanner) list() error {
	s.at++
	if s.take(']') {
		return nil
	}
	for {
		s.space()
		if err := s.Skip(); err != nil {
			return err
		}
		if s.take(']') {
			return nil
		}
		if !s.take(',') {
			return s.fail()
		}
	}
}

// number passes over a number, RFC 8259 section 6, if one is next.
func (s *Scanner) number() bool {
	s.word("-")
	if !s.word("0") && !s.digits() {
		return false
	}
	if s.word(".") && !s.digits() {
		return false
	}
	if s.word("e") || s.word("E") {
		_ = s.word("+") || s.word("-")
		return s.digits()
	}
	return true
}

// digits passes over digits, and says whether there is one.
func (s *Scanner) digits() bool {
	start := s.at
	for s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9' {
		s.at++
	}
	return s.at > start
}

// word passes over text, if it is next.
func (s *Scanner) word(text string) bool {
	is := strings.HasPrefix(s.text[s.at:], text)
	if is {
		s.at += len(text)
	}
	return is
}

// is says whether c is next.
func (s *Scanner) is(c byte) bool { return s.at < len(s.text) && s.text[s.at] == c }

func (s *Scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// take passes over space and then over c, if it is next.
func (s *Scanner) take(c byte) bool {
	s.space()
	if s.at == len(s.text) || s.text[s.at] != c {
		return false
	}
	s.at++
	return true
}

// String reads a string. It is a copy, so that whoever keeps it does not keep the
// whole text.
func (s *Scanner) String() (string, error) {
	before := s.at
	text, err := s.Part()
	if len(text) > 0 && s.at-before == len(text)+len(`""`) { // as it stands there
		text = strings.Clone(text)
	}
	return text, err
}

// Part reads a string, which is a part of the scanner's text unless it holds escapes.
func (s *Scanner) Part() (string, error) {
	if !s.is('"') {
		return "", s.fail()
	}
	s.at++
	end := s.at + closing(s.text[s.at:])
	if end < s.at {
		s.at = len(s.text)
		return "", s.fail()
	}
	text := s.text[s.at:end]
	if i := control(text); i >= 0 {
		s.at += i
		return "", s.fail()
	}
	var b strings.Builder
	for {
		plain := strings.IndexByte(s.text[s.at:end], '\\')
		if plain < 0 {
			break
		}
		b.Grow(end - s.at) // no escape is shorter than what it stands for
		b.WriteString(s.text[s.at : s.at+plain])
		s.at += plain
		if !s.escape(&b) {
			return "", s.fail()
		}
	}
	if b.Cap() > 0 {
		b.WriteString(s.text[s.at:end])
		text = b.String()
	}
	s.at = end + 1
	return text, nil
}

// closing is the index of the quote that ends the string whose content text begins with;
// -1 if there is none.
func closing(text string) int {
	for from := 0; ; {
		quote := strings.IndexByte(text[from:], '"')
		if quote < 0 {
			return -1
		}
		quote += from
		escapes := quote
		for escapes > from && text[escapes-1] == '\\' {
			escapes--
		}
		if (quote-escapes)%2 == 0 {
			return quote
		}
		from = quote + 1
	}
}

// control is the index of the first control character, which no string may have as it is;
// -1 if there is none.
func control(text string) int {
	const lowest, highest = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(text); i += 8 {
		eight := binary.LittleEndian.Uint64([]byte(text[i : i+8]))
		// A byte below a space borrows from its highest bit, which it has not itself.
		if (eight-lowest*' ')&^eight&highest != 0 {
			break
		}
	}
	for ; i < len(text); i++ {
		if text[i] < ' ' {
			return i
		}
	}
	return -1
}

// escape reads an escape sequence into b, RFC 8259 section 7. Half of a surrogate
// pair becomes the replacement character.
func (s *Scanner) escape(b *strings.Builder) bool {
	if s.at+1 == len(s.text) {
		return false
	}
	c := s.text[s.at+1]
	if c == 'u' {
		first, ok := s.hex4()
		if !ok {
			return false
		}
		if utf16.IsSurrogate(first) {
			before := s.at
			if second, ok := s.hex4(); ok {
				if pair := utf16.DecodeRune(first, second); pair != utf8.RuneError {
					b.WriteRune(pair)
					return true
				}
			}
			s.at, first = before, utf8.RuneError
		}
		b.WriteRune(first)
		return true
	}
	i := strings.IndexByte(`"\/bfnrt`, c)
	if i < 0 {
		return false
	}
	b.WriteByte("\"\\/\b\f\n\r\t"[i])
	s.at += 2
	return true
}

// hex4 reads the number of an escape such as \u20ac.
func (s *Scanner) hex4() (rune, bool) {
	const length = len(`\u20ac`)
	if len(s.text)-s.at < length || s.text[s.at:s.at+2] != `\u` {
		return 0, false
	}
	n, err := strconv.ParseUint(s.text[s.at+2:s.at+length], 16, 16)
	if err != nil {
		return 0, false
	}
	s.at += length
	return rune(n), true
}
