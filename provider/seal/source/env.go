package source

import (
	"bytes"
	"regexp"
	"strings"
	"sync"
)

// Env reads a .env file, each variable's path being its name. The error is a
// strict.Problems.
//
//	file    = { [ blank ] [ "export" blank ] name "=" [ value ] [ comment ] }
//	name    = a letter or "_", then letters, digits, "_", "." and "-"
//	value   = plain | "'" anything but "'" "'" | '"' anything, escaped '"'
//	comment = "#" to the line's end, at its beginning or after a blank
//
// A plain value ends with its line, less the blanks at its end, and holds no
// quote, backquote, backslash, dollar or "#". Between single quotes everything
// is as it stands, line breaks too. Between double quotes \n, \r, \t, \\, \", \$
// and \` are escapes, and a bare dollar or backquote is refused, because some
// programs put something else in its place.
func Env(data []byte) ([]Value, error) {
	c := newCollector(data, "; write the file in UTF-8, or seal a binary value from a file of its own")
	if len(c.problems) > 0 {
		return c.result()
	}
	p := &envParser{collector: c, rest: bytes.TrimPrefix(data, []byte("\uFEFF")), line: 1}
	for len(p.rest) > 0 {
		p.statement()
	}
	return c.result()
}

// envParser takes statements from the front of rest. Its problems tell lines and
// no names: a piece of a value that was not quoted can look like a name.
type envParser struct {
	*collector
	rest []byte
	line int
}

// statement takes one variable, or a line that has none.
func (p *envParser) statement() {
	p.skipBlanks()
	line := p.line
	if p.lineEnds() || p.rest[0] == '#' {
		p.skipLine()
		return
	}
	name := p.name()
	if name == "export" && p.blank() {
		p.skipBlanks()
		name = p.name()
	}
	var value []byte
	var wrong string
	switch {
	case name == "":
		wrong = "does not begin with a name; write NAME=value, # before a comment, and a value of several lines between quotes"
	case !p.take('='):
		wrong = "has no = right after its name; write NAME=value without blanks around the =, and a value of several lines between quotes"
	default:
		value, wrong = p.value()
	}
	p.skipLine()
	if wrong != "" {
		p.wrong(line, "", "%s", wrong)
		return
	}
	p.add(line, "", name, value)
}

var nameForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z_][a-zA-Z_0-9.-]*`) })

// name takes a name; empty if there is none.
func (p *envParser) name() string { return string(p.advance(len(nameForm().Find(p.rest)))) }

// value takes a value and leaves nothing of its line but a comment, or says
// what is wrong.
func (p *envParser) value() (value []byte, wrong string) {
	switch {
	case p.take('\''):
		value, wrong = p.single()
	case p.take('"'):
		value, wrong = p.double()
	default:
		return p.plain()
	}
	if wrong != "" {
		return nil, wrong
	}
	blank := p.blank()
	p.skipBlanks()
	if !p.lineEnds() && (p.rest[0] != '#' || !blank) {
		return nil, "goes on after its closing quote; one value has one pair of quotes"
	}
	return value, ""
}

func (p *envParser) plain() (value []byte, wrong string) {
	if p.blank() {
		// What follows can only be a comment after an empty value.
		p.skipBlanks()
		if !p.lineEnds() && p.rest[0] != '#' {
			return nil, "has blanks after the =; remove them, or put the value between quotes"
		}
		return nil, ""
	}
	if bytes.HasPrefix(p.rest, []byte("-----BEGIN")) {
		return nil, "looks like the first of several lines, and the others would be lost; put all of them between single quotes"
	}
	start, blank := p.rest, false
	for ; !p.lineEnds(); p.advance(1) {
		b := p.rest[0]
		switch {
		case b == '#' && blank:
			return trimmed(start, p.rest), ""
		case b == '#':
			return nil, "has a # that some programs take for a comment; put the value between single quotes"
		case strings.IndexByte("'\"`\\$", b) >= 0:
			return nil, "has a quote, backquote, backslash or dollar, which programs read differently there; put the value between single quotes"
		case control(b):
			return nil, "has a control character; write it as an escape between double quotes, or seal the value from a file of its own"
		}
		blank = b == ' ' || b == '\t'
	}
	return trimmed(start, p.rest), ""
}

// trimmed is what was taken between two states of the rest, less the blanks at
// its end.
func trimmed(start, rest []byte) []byte {
	return bytes.Clone(bytes.TrimRight(start[:len(start)-len(rest)], " \t"))
}

func (p *envParser) single() (value []byte, wrong string) {
	for value = []byte{}; len(p.rest) > 0; {
		b := p.advance(1)[0]
		switch {
		case b == '\'':
			return value, wrong
		case control(b) && b != '\n':
			wrong = "has a control character between single quotes, such as a carriage return; save the file with line feeds only, or seal the value from a file of its own"
		}
		value = append(value, b)
	}
	return nil, "has no closing single quote"
}

func (p *envParser) double() (value []byte, wrong string) {
	for value = []byte{}; len(p.rest) > 0; {
		b := p.advance(1)[0]
		switch {
		case b == '"':
			return value, wrong
		case b == '$' || b == '`':
			wrong = `has a bare dollar or backquote between double quotes, which some programs expand; write a backslash before it, or use single quotes`
		case control(b) && b != '\n':
			wrong = "has a control character between double quotes, such as a carriage return; write it as an escape, or save the file with line feeds alone"
		case b == '\\':
			if len(p.rest) == 0 {
				continue
			}
			escaped, ok := unescaped(p.advance(1)[0])
			if !ok {
				wrong = `has a backslash that begins no escape; there are \n, \r, \t, \\, \", \$ and one for the backquote`
			}
			b = escaped
		}
		value = append(value, b)
	}
	return nil, "has no closing double quote"
}

// unescaped is what stands for a character after a backslash.
func unescaped(b byte) (byte, bool) {
	switch b {
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case '\\', '"', '$', '`':
		return b, true
	}
	return 0, false
}

// control knows the control characters but the tab.
func control(b byte) bool { return b < 0x20 && b != '\t' || b == 0x7f }

// advance takes n bytes and counts their lines.
func (p *envParser) advance(n int) []byte {
	taken := p.rest[:n]
	p.rest = p.rest[n:]
	p.line += bytes.Count(taken, []byte("\n"))
	return taken
}

func (p *envParser) take(b byte) bool {
	if len(p.rest) == 0 || p.rest[0] != b {
		return false
	}
	p.advance(1)
	return true
}

func (p *envParser) blank() bool {
	return len(p.rest) > 0 && (p.rest[0] == ' ' || p.rest[0] == '\t')
}

func (p *envParser) skipBlanks() {
	for p.blank() {
		p.advance(1)
	}
}

// lineEnds is true before a line's end, and before the file's.
func (p *envParser) lineEnds() bool {
	return len(p.rest) == 0 || p.rest[0] == '\n' || p.rest[0] == '\r' && (len(p.rest) == 1 || p.rest[1] == '\n')
}

// skipLine takes the rest of a line with its end.
func (p *envParser) skipLine() {
	if end := bytes.IndexByte(p.rest, '\n'); end >= 0 {
		p.advance(end + 1)
		return
	}
	p.advance(len(p.rest))
}
