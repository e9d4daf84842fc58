package reseal

import (
	"bytes"
	"io"
	"strconv"
	"strings"

	"github.com/lanyardhq/lanyard/provider/manifest"
	"github.com/lanyardhq/lanyard/provider/manifest/classfile"
)

// prefix begins every text of a sealed value, of whatever version.
const prefix = "lanyard.v"

// Input is a file to reseal.
type Input struct {
	Path string
	// Texts is about how many sealed values it holds.
	Texts int
	// Problem is why it cannot be read.
	Problem string

	stream *manifest.Input // standard input; nil for a file
}

// Find lists the inputs with sealed values: standard input and the files that are
// named, and the files below folders that are named, as manifest.Each finds them. The
// error is one of a name that leads nowhere.
func Find(stdin io.Reader, names []string) ([]Input, error) {
	var found []Input
	err := manifest.Each(stdin, names, []string{prefix}, func(in manifest.Input, err error) error {
		input := Input{Path: in.Name, Texts: bytes.Count(in.Text, []byte(prefix))}
		if err != nil {
			input.Problem = reason(err)
		}
		if in.Stream {
			input.stream = &in
		}
		found = append(found, input)
		return nil
	})
	return found, err
}

// place is where the text of a sealed value stands in a file.
type place struct {
	start, end    int
	line          int
	class, object string // empty outside of a class
}

// find lists the texts of sealed values in a file, but for those in comments:
// words of their own that begin with prefix. The file need not be YAML, so that
// templates of charts are found too. A new text has no other characters than an
// old one, so that what the file means does not change around it.
func find(data []byte) []place {
	var places []place
	reader := lineReader{line: 1}
	for at := 0; ; {
		next := bytes.Index(data[at:], []byte(prefix))
		if next < 0 {
			break
		}
		start := at + next
		end := start
		for end < len(data) && !strings.ContainsRune(" \t\r\n\"'\\,]}", rune(data[end])) {
			end++
		}
		at = end
		reader.to(data, start)
		if (start == 0 || strings.ContainsRune(" \t\r\n\"'[{,:", rune(data[start-1]))) && !reader.comment {
			places = append(places, place{start: start, end: end, line: reader.line})
		}
	}
	name(data, places)
	return places
}

// lineReader knows of a place in a file its line, and whether a comment has
// begun there: with a "#" at the line's beginning or after a blank, outside of
// quotes that begin where a value can.
type lineReader struct {
	at, line int
	before   byte // the byte before at; zero at a line's beginning
	quote    byte
	comment  bool
}

func (r *lineReader) to(data []byte, end int) {
	for ; r.at < end; r.at++ {
		b := data[r.at]
		switch {
		case b == '\n':
			r.line++
			r.before, r.quote, r.comment = 0, 0, false
			continue
		case r.comment:
		case r.quote != 0:
			if b == r.quote {
				r.quote = 0
			}
		case b == '#' && (r.before == 0 || r.before == ' ' || r.before == '\t'):
			r.comment = true
		case (b == '"' || b == '\'') && (r.before == 0 || strings.ContainsRune(" \t[{,:", rune(r.before))):
			r.quote = b
		}
		r.before = b
	}
}

// name finds out in which classes and objects the places are, as far as the
// file is YAML. What is parsed has a number in the place of each long text.
func name(data []byte, places []place) {
	numbers := make([]string, len(places))
	for i := range places {
		numbers[i] = prefix + strconv.Itoa(i)
	}
	for _, owner := range classfile.SealedIn(splice(data, places, numbers)) {
		i, err := strconv.Atoi(strings.TrimPrefix(owner.Text, prefix))
		if err == nil && i >= 0 && i < len(places) && numbers[i] == owner.Text {
			places[i].class, places[i].object = owner.Class, owner.Object
		}
	}
}
