package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
)

// maxDepth is the deepest object in an object.
const maxDepth = 32

// JSON reads the values of one JSON object. A text is a value, a number and a
// truth value as they are written; an object is a folder of values, its members'
// paths being below its own. A list has no files that would be called something,
// and null is no value: both are refused, and so is a name that stands twice.
// The error is a strict.Problems.
func JSON(data []byte) ([]Value, error) {
	c := newCollector(data, "")
	if len(c.problems) > 0 {
		return c.result()
	}
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	p := &jsonParser{collector: c, data: data, decoder: json.NewDecoder(bytes.NewReader(data))}
	p.decoder.UseNumber()
	if err := p.document(); err != nil {
		at := p.decoder.InputOffset()
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			at = max(at, syntax.Offset) // the decoder stays at the token before
		}
		// The decoder's own error is left out: it can quote a value.
		c.wrong(p.lineAt(at), "", "is not valid JSON, or is cut off there")
	}
	return c.result()
}

type jsonParser struct {
	*collector
	data    []byte
	decoder *json.Decoder
	counted int // the bytes whose line breaks were counted
	breaks  int
}

// line is where the decoder is.
func (p *jsonParser) line() int { return p.lineAt(p.decoder.InputOffset()) }

// lineAt is the line of an offset, which is not before that of the last call.
func (p *jsonParser) lineAt(offset int64) int {
	at := min(int(offset), len(p.data))
	p.breaks += bytes.Count(p.data[p.counted:at], []byte("\n"))
	p.counted = at
	return 1 + p.breaks
}

func (p *jsonParser) document() error {
	token, err := p.decoder.Token()
	if err != nil {
		return err
	}
	if token != json.Delim('{') {
		p.wrong(p.line(), "", "must be an object with a name for each value")
		return nil
	}
	if err := p.object("", 1); err != nil {
		return err
	}
	if _, err := p.decoder.Token(); !errors.Is(err, io.EOF) {
		p.wrong(p.line(), "", "goes on after the object; a file holds one")
	}
	return nil
}

// object takes the members of an object whose brace was taken.
func (p *jsonParser) object(folder string, depth int) error {
	names := map[string]bool{}
	for p.decoder.More() {
		token, err := p.decoder.Token()
		if err != nil {
			return err
		}
		name, ok := token.(string)
		if !ok {
			return errors.New("a name is missing")
		}
		path, line := folder+name, p.line()
		if names[name] && p.lines[path] == 0 {
			p.wrong(line, path, "stands twice in one object; remove one of the two")
		}
		names[name] = true
		if name == "" || strings.ContainsRune(name, '\uFFFD') {
			p.wrong(line, path, "is no name; give one of at least one character, without broken ones")
		}
		if err := p.member(path, line, depth); err != nil {
			return err
		}
	}
	_, err := p.decoder.Token() // the closing brace
	return err
}

func (p *jsonParser) member(path string, line, depth int) error {
	token, err := p.decoder.Token()
	if err != nil {
		return err
	}
	switch value := token.(type) {
	case string:
		// The decoder puts this in the place of half a surrogate pair.
		if strings.ContainsRune(value, '\uFFFD') {
			p.wrong(line, path, "has a broken character (U+FFFD, or half a surrogate pair)")
			return nil
		}
		p.add(line, path, path, []byte(value))
	case json.Number:
		p.add(line, path, path, []byte(value))
	case bool:
		p.add(line, path, path, strconv.AppendBool(nil, value))
	case nil:
		p.wrong(line, path, "is null, which is no value; remove it, or give it one")
	case json.Delim:
		if value == '{' && depth < maxDepth {
			return p.object(path+"/", depth+1)
		}
		p.wrong(line, path, "is a list, or an object too deep in others; name each of its values, or write it as a text")
		return p.skip()
	}
	return nil
}

// skip takes what is left of a list or object whose first sign was taken.
func (p *jsonParser) skip() error {
	for open := 1; open > 0; {
		token, err := p.decoder.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			open++
		case json.Delim('}'), json.Delim(']'):
			open--
		}
	}
	return nil
}
