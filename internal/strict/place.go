package strict

import (
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/internal/message"
)

const (
	// maxDepth is the deepest nesting; what people write by hand stays far below.
	maxDepth = 32
	// maxItems is the longest list.
	maxItems = 1 << 14
	// maxProblems is how many problems are listed before the rest is left out.
	maxProblems = 100
	// maxName is how many bytes of a field's name a problem shows.
	maxName = 64
)

const tooDeep = "is nested too deeply; at most 32 levels are accepted" // maxDepth

// place is where in the document the decoder is, as a chain up to the root, so
// that a field's dotted name is made only when there is something to report.
type place struct {
	parent *place
	node   *yaml.Node // what an editor should point at: a field's name, a list's item
	name   string     // the field, or
	index  int        // the item, if name is empty
	depth  int
}

func (p *place) field(key *yaml.Node) *place {
	return &place{parent: p, node: key, name: key.Value, depth: p.depth + 1}
}

func (p *place) item(i int, node *yaml.Node) *place {
	return &place{parent: p, node: node, index: i, depth: p.depth + 1}
}

// String is the dotted name, empty for the root.
func (p *place) String() string {
	if p.parent == nil {
		return ""
	}
	before := p.parent.String()
	if p.name == "" {
		return before + "[" + strconv.Itoa(p.index) + "]"
	}
	if before == "" {
		return shown(p.name)
	}
	return before + "." + shown(p.name)
}

// shown makes a field's name safe and short enough for a message.
func shown(name string) string {
	quoted := strconv.Quote(message.Cut(name, maxName))
	return quoted[1 : len(quoted)-1]
}

// fail reports a problem at the place.
func (d *decoder) fail(at *place, text string) {
	d.add(Problem{Line: at.node.Line, Column: at.node.Column, Field: at.String(), Text: text})
}

// unknown reports a field of a map that is none of the known.
func (d *decoder) unknown(of *yaml.Node, at *place, known []string) {
	p := Problem{Line: at.node.Line, Column: at.node.Column, Field: at.String(), Text: Unknown("field", at.name, known)}
	if nearest := Nearest(at.name, known); nearest != "" && !gives(of, nearest) {
		p.meant = joined(at.parent.String(), nearest)
	}
	d.add(p)
}

// gives says whether a map has a field.
func gives(of *yaml.Node, field string) bool {
	for i := 0; i+1 < len(of.Content); i += 2 {
		if of.Content[i].Value == field {
			return true
		}
	}
	return false
}

func (d *decoder) add(p Problem) {
	p.unread = true
	switch {
	case len(d.problems) < maxProblems:
		d.problems = append(d.problems, p)
	case len(d.problems) == maxProblems:
		d.problems = append(d.problems, Problem{Line: p.Line, Column: p.Column, Text: "there are more problems; fix those before first", unread: true})
	}
}

// full says that more problems would not be listed, so that nothing is gained
// by looking for them.
func (d *decoder) full() bool { return len(d.problems) > maxProblems }
