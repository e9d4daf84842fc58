package migration

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// values is a values.yaml for the chart. Each value carries a comment that says what it was.
type values struct {
	root *yaml.Node
	// origins says where a value came from, by its place.
	origins map[string]string
}

// order is that of the chart's own values.yaml.
var order = []string{"dialects", "socketDirectory", "config", "secrets", "configMaps", "hostDirectories", "log", "hostNetwork", "networkPolicy", "tokenRequestNamespaces", "nodeSelector"}

func newValues() *values {
	return &values{root: &yaml.Node{Kind: yaml.MappingNode}, origins: map[string]string{}}
}

// set puts a value at a place. It returns where another value there came from, which
// stays; the empty text if there was none or the same.
func (v *values) set(value any, origin, comment string, place ...string) (other string) {
	key := strings.Join(place, "\x00")
	node := &yaml.Node{}
	if err := node.Encode(value); err != nil {
		panic(err) // values are texts, numbers and lists
	}
	if node.Kind == yaml.SequenceNode || node.Kind == yaml.MappingNode {
		node.Style = yaml.FlowStyle
	}
	if before := v.at(place); before != nil {
		if before.Value == node.Value && len(before.Content) == 0 {
			return ""
		}
		return v.origins[key]
	}
	v.origins[key] = origin
	parent := v.root
	for _, name := range place[:len(place)-1] {
		next := child(parent, name)
		if next == nil {
			next = &yaml.Node{Kind: yaml.MappingNode}
			parent.Content = append(parent.Content, text(name), next)
		}
		parent = next
	}
	name := text(place[len(place)-1])
	name.HeadComment = commented(comment)
	parent.Content = append(parent.Content, name, node)
	return ""
}

// has says whether there is a value at a place.
func (v *values) has(place ...string) bool { return v.at(place) != nil }

func (v *values) at(place []string) *yaml.Node {
	node := v.root
	for _, name := range place {
		if node = child(node, name); node == nil {
			return nil
		}
	}
	return node
}

func child(node *yaml.Node, name string) *yaml.Node {
	for n := 0; n+1 < len(node.Content) && node.Kind == yaml.MappingNode; n += 2 {
		if node.Content[n].Value == name {
			return node.Content[n+1]
		}
	}
	return nil
}

func text(value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
}

// file is the whole of it.
func (v *values) file(head string) (string, error) {
	sorted := &yaml.Node{Kind: yaml.MappingNode}
	for _, name := range order {
		for n := 0; n < len(v.root.Content); n += 2 {
			if v.root.Content[n].Value == name {
				sorted.Content = append(sorted.Content, v.root.Content[n], v.root.Content[n+1])
			}
		}
	}
	var out bytes.Buffer
	out.WriteString(commented(head) + "\n")
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(sorted); err != nil {
		return "", err
	}
	return out.String(), encoder.Close()
}

// config is the configuration in the values, as the chart gives it to the provider. A file
// of a ConfigMap or Secret is at its place on the node.
func (v *values) config() (string, error) {
	node := v.at([]string{"config"})
	if node == nil {
		return "{}\n", nil
	}
	text, err := yaml.Marshal(node)
	return string(text), err
}

// names lists names at a place, sorted, each with its origin for a comment.
func (v *values) names(place string, names map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(names)) {
		origin := names[name]
		if existing := v.at([]string{place}); existing != nil {
			existing.Content = append(existing.Content, text(name))
			continue
		}
		v.set([]string{name}, origin, origin, place)
	}
}

const commentWidth = 96

// commented makes comment lines of a text.
func commented(text string) string {
	var lines []string
	for paragraph := range strings.SplitSeq(text, "\n") {
		line := "#"
		for _, word := range strings.Fields(paragraph) {
			if len(line)+len(word) >= commentWidth && line != "#" {
				lines, line = append(lines, line), "#"
			}
			line += " " + word
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}
