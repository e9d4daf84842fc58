package strict

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxStructure bounds the maps, lists and scalars of one document, and with them
// what its parsing takes at one go: some 25 MiB, and a tenth of a second. Ten thousand
// objects, the most that an operator can allow, fit.
const maxStructure = 1 << 17

// parse returns the root of the document in data that counts; nil if it is empty.
func (d *decoder) parse(data []byte) (*yaml.Node, *Problem) {
	if !Parseable(data) {
		return nil, &Problem{Text: "holds too many fields, items and lines"}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	document, err := Next(decoder)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, syntaxProblem(err)
	}
	second, err := Next(decoder)
	switch {
	case d.tolerant != nil:
		if err == nil {
			d.ignore(&place{node: second}, "has no effect: only the YAML document before the --- counts")
		}
		return d.tolerant.expand(document)
	case err == nil:
		return nil, &Problem{Line: second.Line, Column: second.Column,
			Text: "must be a single document; remove the --- and what follows it"}
	case !errors.Is(err, io.EOF):
		return nil, syntaxProblem(err)
	case len(document.Content) != 1:
		return nil, nil
	}
	return document.Content[0], nil
}

// Parseable says that a document is small enough for Next to parse it. It counts what can
// begin a map, a list or a scalar, not bytes.
func Parseable(data []byte) bool { return structure(data) <= maxStructure }

// structure counts the bytes that can begin another map, list or scalar, each
// of which takes a hundred times its text in memory.
func structure(data []byte) int {
	count := 0
	for _, b := range data {
		switch b {
		case '\n', '\r', ',', ':', '-', '?', '[', '{':
			count++
		}
	}
	return count
}

func syntaxProblem(err error) *Problem {
	var problems Problems
	if errors.As(err, &problems) {
		return &problems[0]
	}
	return &Problem{Text: notYAML}
}

// Next returns the next document of a stream of several, for which the caller
// then uses Decode. The error is io.EOF at the end of the stream, and a
// Problems if what follows is not YAML, after which nothing more can be read.
func Next(decoder *yaml.Decoder) (document *yaml.Node, err error) {
	// The parser answers some malformed input with a panic.
	defer func() {
		if recover() != nil {
			document, err = nil, Problems{{Text: notYAML}}
		}
	}()
	document = new(yaml.Node)
	if err := decoder.Decode(document); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		return nil, Problems{explain(err.Error())}
	}
	return document, nil
}

const notYAML = "is not valid YAML; check indentation and quotes"

// causes are the parser's complaints in words that say what to do. What is not
// among them is not passed on, because some of its messages quote the input.
func causes() []struct{ complaint, text string } {
	return []struct{ complaint, text string }{
		{"tab character", "a tab is used for indentation; use spaces"},
		{"cannot start any token", "text begins with a tab or with a character that YAML reserves, such as @, % or a backquote; put the text in quotes"},
		{"mapping values are not allowed", "a colon stands where no field can begin; put the text in quotes, or fix the indentation"},
		{"could not find expected ':'", "a field has no colon after its name, or a text of several lines is not indented"},
		{"did not find expected key", "a line is not indented like the lines around it, or a quote is not closed"},
		{"did not find expected '-' indicator", "a line is not indented like the items of its list"},
		{"block sequence entries are not allowed", "a list begins where none can; put it on a new line, indented"},
		{"did not find expected ',' or", "a bracket or brace is not closed, or a comma is missing"},
		{"unexpected end of stream", "a quote is not closed"},
		{"unexpected document indicator", "a quote is not closed before the ---"},
		{"unknown escape character", "text in double quotes has a backslash that means nothing; use single quotes"},
		{"hexdecimal number", "text in double quotes has a backslash that means nothing; use single quotes"},
		{"unknown anchor", "YAML aliases are not accepted; if the text begins with *, put it in quotes"},
		{"found incompatible YAML document", "the directive %YAML names another version than 1.1; remove the line"},
		{"undefined tag handle", "YAML tags are not accepted; if the text begins with !, put it in quotes"},
		{"control characters are not allowed", "holds a control character; remove it, or write it as an escape in double quotes"},
		{"UTF-8", "is not UTF-8 text"},
		{"exceeded max depth", tooDeep},
	}
}

var atLine = regexp.MustCompile(`\bline (\d+): `)

func explain(complaint string) Problem {
	p := Problem{Text: notYAML}
	if match := atLine.FindStringSubmatch(complaint); match != nil {
		// What is no number leaves the line unknown, which is zero.
		p.Line, _ = strconv.Atoi(match[1]) //nolint:errcheck // see above
	}
	for _, c := range causes() {
		if strings.Contains(complaint, c.complaint) {
			p.Text = "is not valid YAML: " + c.text
			break
		}
	}
	return p
}
