// Package source reads files that hold many values at once, so that all of them
// can be sealed: a .env file, a JSON object, and native Secret manifests.
//
// What different programs read differently is refused with its line and the
// spelling that all of them read alike: a value that was guessed wrong would be
// noticed only where it is used. Errors quote names and never values.
//
// Start with Env, JSON and Secrets.
package source

import (
	"fmt"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// The bounds of a file.
const (
	// MaxFile is the most bytes of a file.
	MaxFile = 8 << 20
	// MaxValues is the most values of a file: what a class may hold by default.
	MaxValues = 1000
)

// Value is one value of a file.
type Value struct {
	// Path is where its object's file fits into a volume. It was not checked to
	// be a path that a volume can have.
	Path string
	// Line is where it stands in the file, counted from one.
	Line int
	// Data has 1 to seal.MaxValue bytes.
	Data secret.Bytes
}

// maxProblems bounds what one error lists.
const maxProblems = 100

// collector gathers values and all that is wrong with them, in the file's order.
type collector struct {
	values   []Value
	problems strict.Problems
	lines    map[string]int // of each path
}

// wrong notes a problem; after maxProblems it only says that there are more.
func (c *collector) wrong(line int, field, format string, args ...any) {
	switch {
	case len(c.problems) < maxProblems:
		c.problems = append(c.problems, strict.Problem{Line: line, Field: field, Text: fmt.Sprintf(format, args...)})
	case len(c.problems) == maxProblems:
		c.problems = append(c.problems, strict.Problem{Line: line, Text: "and there is more that is wrong; fix this first"})
	}
}

// add takes a value, unless it cannot be sealed or its path is taken.
func (c *collector) add(line int, field, path string, data []byte) {
	first, taken := c.lines[path]
	switch {
	case taken:
		c.wrong(line, field, "stands in line %d too; remove one of the two", first)
		return
	case len(data) == 0:
		c.wrong(line, field, "is empty, and a sealed value has at least one byte; remove it, or give it a value")
	case len(data) > seal.MaxValue:
		c.wrong(line, field, "has %d bytes, at most %d can be sealed", len(data), seal.MaxValue)
	case len(c.values) == MaxValues:
		c.wrong(line, field, "is one more than the %d values that a class holds; divide the file", MaxValues)
	default:
		c.values = append(c.values, Value{Path: path, Line: line, Data: secret.New(data)})
	}
	c.lines[path] = line
}

// result is the values, or all that is wrong.
func (c *collector) result() ([]Value, error) {
	if len(c.values) == 0 && len(c.problems) == 0 {
		c.wrong(0, "", "holds no values")
	}
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	return c.values, nil
}

// newCollector begins to read a file; its problem is there already if the file is
// too long or not UTF-8, for which remedy says more.
func newCollector(data []byte, remedy string) *collector {
	c := &collector{lines: map[string]int{}}
	if len(data) > MaxFile {
		c.wrong(0, "", "has more than %d bytes", MaxFile)
	} else if line := notUTF8(data); line > 0 {
		c.wrong(line, "", "is not UTF-8 text%s", remedy)
	}
	return c
}

// notUTF8 is the line of the first byte that is not UTF-8, or zero.
func notUTF8(data []byte) int {
	line := 1
	for i, r := range string(data) {
		switch {
		case r == '\n':
			line++
		case r == '\uFFFD' && data[i] != 0xEF:
			return line
		}
	}
	return 0
}
