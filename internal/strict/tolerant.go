package strict

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Tolerant decodes what other programs' decoders accept: of several documents the first
// counts; aliases, merge keys and tags are followed; a field that no struct knows is left
// out, and an empty item of a list of structs is a struct without fields; a field without a
// value counts as absent. Values are judged as strictly as ever.
type Tolerant struct {
	// FoldCase finds a struct's field by its name in any case, and of fields given
	// several times the last counts, as with encoding/json after a YAML decoder that
	// sorts names. Otherwise a field given twice is a problem.
	FoldCase bool
	// Quiet leaves out what the document says to no effect, but for empty items.
	Quiet bool
	// Expanded, unless nil, counts what aliases stand for, so that several documents
	// together are bounded as one is.
	Expanded *int
}

// Unmarshal is the function Unmarshal for tolerant decoding. ignored is what the document
// says to no effect, with its place: the first hundred, and every empty item.
func (t Tolerant) Unmarshal(data []byte, into any) (problems, ignored Problems) {
	if t.Expanded == nil {
		t.Expanded = new(int)
	}
	d := decoder{tolerant: &t}
	d.document(data, into)
	return d.problems, d.ignored
}

// EmptyItem is the text of an item of a list of structs that says nothing.
const EmptyItem = "is empty, which has no effect"

// ignore reports something without effect at the place. Empty items are all reported,
// since whoever reads the list has to know which they are.
func (d *decoder) ignore(at *place, text string) {
	if d.hasRoom() || text == EmptyItem {
		d.ignored = append(d.ignored, Problem{Line: at.node.Line, Column: at.node.Column, Field: at.String(), Text: text})
	}
}

// hasRoom says whether the list of what has no effect takes one more entry.
func (d *decoder) hasRoom() bool { return !d.tolerant.Quiet && len(d.ignored) < maxProblems }

// maxExpanded is how many nodes a document may hold once its aliases are written out.
const maxExpanded = 1 << 14

// expander writes out aliases, merge keys and tags.
type expander struct {
	nodes   *int // that were copied
	problem *Problem
}

// expand returns the root of a document in plain form; nil if it is empty.
func (t *Tolerant) expand(document *yaml.Node) (*yaml.Node, *Problem) {
	if len(document.Content) != 1 {
		return nil, nil
	}
	e := expander{nodes: t.Expanded}
	root := e.node(document.Content[0], 0)
	return root, e.problem
}

// node makes a node plain, in its place, and returns it or what it stands for.
func (e *expander) node(node *yaml.Node, depth int) *yaml.Node {
	switch {
	case e.problem != nil:
		return node
	case depth > maxDepth:
		return e.refuse(node, tooDeep)
	case node.Kind == yaml.AliasNode:
		return e.alias(node, depth)
	}
	if node.Style&yaml.TaggedStyle != 0 {
		e.untag(node)
	}
	for i, below := range node.Content {
		node.Content[i] = e.node(below, depth+1)
	}
	if node.Kind == yaml.MappingNode {
		e.merge(node)
	}
	return node
}

func (e *expander) refuse(node *yaml.Node, text string) *yaml.Node {
	e.problem = &Problem{Line: node.Line, Column: node.Column, Text: text}
	return node
}

// untag takes the tag of a node for what it says of a scalar's value: a number, true,
// false or nothing, text in base64, or else text.
func (e *expander) untag(node *yaml.Node) {
	node.Style &^= yaml.TaggedStyle
	if node.Kind != yaml.ScalarNode || slices.Contains([]string{"!!int", "!!float", "!!bool", "!!null"}, node.Tag) {
		return
	}
	if node.Tag == "!!binary" {
		text, err := base64.StdEncoding.DecodeString(node.Value)
		if err != nil || !utf8.Valid(text) {
			e.refuse(node, "what stands after !!binary is not text in base64; write the text itself")
		}
		node.Value = string(text)
	}
	node.Tag = "!!str"
}

// alias returns a copy of what an alias stands for.
func (e *expander) alias(node *yaml.Node, depth int) *yaml.Node {
	if *e.nodes += size(node.Alias, maxExpanded); *e.nodes > maxExpanded {
		return e.refuse(node, fmt.Sprintf("YAML aliases may stand for %d fields and values in all; write the values out", maxExpanded))
	}
	return e.node(copied(node.Alias), depth+1)
}

// copied is a copy of a node and those below it, in which aliases stay.
func copied(node *yaml.Node) *yaml.Node {
	same := *node
	same.Content = make([]*yaml.Node, len(node.Content))
	for i, below := range node.Content {
		same.Content[i] = copied(below)
	}
	return &same
}

// size counts a node and those below it, up to a little over most.
func size(node *yaml.Node, limit int) int {
	n := 1
	for _, below := range node.Content {
		if n > limit {
			break
		}
		n += size(below, limit-n)
	}
	return n
}

// merge puts the fields of a map's merge keys into it that it does not say itself; of
// several that say a field the first counts. https://yaml.org/type/merge.html
func (e *expander) merge(into *yaml.Node) {
	if !slices.ContainsFunc(into.Content, func(n *yaml.Node) bool { return n.Tag == "!!merge" }) {
		return
	}
	var fields, merged []*yaml.Node
	given := map[string]bool{}
	for i := 0; i+1 < len(into.Content); i += 2 {
		key, value := into.Content[i], into.Content[i+1]
		switch {
		case key.Tag != "!!merge":
			fields = append(fields, key, value)
			given[key.Value] = true
		case value.Kind == yaml.SequenceNode:
			merged = append(merged, value.Content...)
		default:
			merged = append(merged, value)
		}
	}
	for _, of := range merged {
		if of.Kind != yaml.MappingNode {
			e.refuse(of, "a YAML merge key takes a map, or a list of maps")
			return
		}
		for i := 0; i+1 < len(of.Content); i += 2 {
			if name := of.Content[i].Value; !given[name] {
				given[name] = true
				fields = append(fields, of.Content[i], of.Content[i+1])
			}
		}
	}
	into.Content = fields
}

// lastOf returns the places of the keys of a map that count where fields are given several
// times: of names that differ in case the one that sorts last, of equal names the last.
func lastOf(node *yaml.Node) map[int]bool {
	last := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name := node.Content[i].Value
		folded := strings.ToLower(name)
		if before, ok := last[folded]; !ok || node.Content[before].Value <= name {
			last[folded] = i
		}
	}
	counts := make(map[int]bool, len(last))
	for _, i := range last {
		counts[i] = true
	}
	return counts
}
