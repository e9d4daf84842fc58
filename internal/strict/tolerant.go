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
// out, and an empty item of a list of structs is a struct without fields; a field without a value counts as absent.
// Values are judged as strictly as ever.
type Tolerant struct {
	// FoldCase finds a struct's field by its name in any case, and of fields given
	// several times the last counts, as with encoding/json after a YAML decoder that
	// sorts names. Otherwise a field given twice is a problem.
	FoldCase bool
}

// Unmarshal is the function Unmarshal for tolerant decoding. ignored is what the document
// says to no effect, with its place.
func (t Tolerant) Unmarshal(data []byte, into any) (problems, ignored Problems) {
	d := decoder{tolerant: &t}
	d.document(data, into)
	return d.problems, d.ignored
}

// EmptyItem is the text of an item of a list of structs that says nothing.
const EmptyItem = "is empty, which has no effect"

// ignore reports something without effect at the place.
func (d *decoder) ignore(at *place, text string) {
	if len(d.ignored) < maxProblems {
		d.ignored = append(d.ignored, Problem{Line: at.node.Line, Column: at.node.Column, Field: at.String(), Text: text})
	}
}

// maxExpanded is how many nodes a document may hold once its aliases are written out.
const maxExpanded = 1 << 14

// expander writes out aliases, merge keys and tags.
type expander struct {
	nodes   int // that were copied
	problem *Problem
}

// expand returns the root of a document in plain form; nil if it is empty.
func expand(document *yaml.Node) (*yaml.Node, *Problem) {
	if len(document.Content) != 1 {
		return nil, nil
	}
	e := expander{}
	root := e.node(document.Content[0], 0)
	return root, e.problem
}

// node returns the plain form of a node.
func (e *expander) node(node *yaml.Node, depth int) *yaml.Node {
	switch {
	case e.problem != nil:
		return node
	case depth > maxDepth:
		e.problem = &Problem{Line: node.Line, Column: node.Column, Text: tooDeep}
		return node
	case node.Kind == yaml.AliasNode:
		return e.alias(node, depth)
	}
	plain := *node
	if node.Style&yaml.TaggedStyle != 0 {
		plain.Style &^= yaml.TaggedStyle
		if node.Kind == yaml.ScalarNode && !slices.Contains([]string{"!!int", "!!float", "!!bool", "!!null"}, node.Tag) {
			plain.Tag = "!!str"
		}
		if node.Kind == yaml.ScalarNode && node.Tag == "!!binary" {
			text, err := base64.StdEncoding.DecodeString(node.Value)
			if err != nil || !utf8.Valid(text) {
				e.problem = &Problem{Line: node.Line, Column: node.Column, Text: "what stands after !!binary is not text in base64; write the text itself"}
			}
			plain.Value = string(text)
		}
	}
	plain.Content = make([]*yaml.Node, 0, len(node.Content))
	if node.Kind != yaml.MappingNode {
		for _, item := range node.Content {
			plain.Content = append(plain.Content, e.node(item, depth+1))
		}
		return &plain
	}
	var merged []*yaml.Node
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := e.node(node.Content[i], depth+1), e.node(node.Content[i+1], depth+1)
		if key.Tag == "!!merge" {
			merged = append(merged, value)
			continue
		}
		plain.Content = append(plain.Content, key, value)
	}
	e.merge(&plain, merged)
	return &plain
}

// alias returns a copy of what an alias stands for.
func (e *expander) alias(node *yaml.Node, depth int) *yaml.Node {
	if e.nodes += size(node.Alias, maxExpanded); e.nodes > maxExpanded {
		e.problem = &Problem{Line: node.Line, Column: node.Column,
			Text: fmt.Sprintf("YAML aliases may stand for %d fields and values in all; write the values out", maxExpanded)}
		return node
	}
	return e.node(node.Alias, depth+1)
}

// size counts a node and those below it, up to a little over most.
func size(node *yaml.Node, most int) int {
	n := 1
	for _, below := range node.Content {
		if n > most {
			break
		}
		n += size(below, most-n)
	}
	return n
}

// merge adds the fields of merge keys that a map does not say itself; the first that says
// a field counts. https://yaml.org/type/merge.html
func (e *expander) merge(into *yaml.Node, merged []*yaml.Node) {
	given := map[string]bool{}
	for i := 0; i < len(into.Content); i += 2 {
		given[into.Content[i].Value] = true
	}
	for len(merged) > 0 {
		of := merged[0]
		merged = merged[1:]
		switch of.Kind {
		case yaml.SequenceNode:
			merged = append(slices.Clone(of.Content), merged...)
		case yaml.MappingNode:
			for i := 0; i < len(of.Content); i += 2 {
				if name := of.Content[i].Value; !given[name] {
					given[name] = true
					into.Content = append(into.Content, of.Content[i], of.Content[i+1])
				}
			}
		default:
			e.problem = &Problem{Line: of.Line, Column: of.Column, Text: "a YAML merge key takes a map, or a list of maps"}
			return
		}
	}
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
