package cmd

import (
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/provider/secret"
)

// maxCleanYAML is more than configurations and classes have, in bytes, and maxCleanDepth
// than they are nested.
const (
	maxCleanYAML  = 1 << 20
	maxCleanDepth = 20
)

// yaml makes anew of a YAML text what a layout knows: fields at their places, with values
// of their forms. All else is taken out: values, keys, comments, tags, anchors and aliases.
// A text that is no YAML is taken out as a whole.
func (r *redactor) yaml(text string, of *layout) string {
	var document yaml.Node
	if len(text) > maxCleanYAML || yaml.Unmarshal([]byte(text), &document) != nil {
		return r.take(text)
	}
	if len(document.Content) == 0 {
		return ""
	}
	out, err := yaml.Marshal(r.node(document.Content[0], of, 0))
	if err != nil {
		return r.take(text)
	}
	return string(out)
}

// node is a node as the layout knows it; a nil one knows nothing.
func (r *redactor) node(node *yaml.Node, of *layout, depth int) *yaml.Node {
	switch {
	case depth > maxCleanDepth || node.Kind == yaml.AliasNode:
		return scalarNode(secret.Redacted)
	case node.Kind == yaml.ScalarNode:
		return r.scalar(node, of)
	case node.Kind == yaml.SequenceNode:
		list := &yaml.Node{Kind: yaml.SequenceNode}
		for _, item := range node.Content {
			list.Content = append(list.Content, r.node(item, of, depth+1))
		}
		return list
	}
	mapping, used := &yaml.Node{Kind: yaml.MappingNode}, map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, below := r.key(node.Content[i], of)
		for n := 2; used[key]; n++ {
			key = secret.Redacted + " " + strconv.Itoa(n)
		}
		used[key] = true
		mapping.Content = append(mapping.Content, scalarNode(key), r.node(node.Content[i+1], below, depth+1))
	}
	return mapping
}

// key is the key of a field, and what the layout knows below it.
func (r *redactor) key(node *yaml.Node, of *layout) (string, *layout) {
	if node.Kind == yaml.ScalarNode && of != nil {
		if below, ok := of.fields[node.Value]; ok {
			return node.Value, below
		}
		if of.names != nil && isName(node.Value) {
			return node.Value, of.names
		}
	}
	if node.Kind == yaml.ScalarNode {
		if !onlySecretName.MatchString(node.Value) { // which tells secrets in other texts
			r.take(node.Value)
		}
	} else {
		r.node(node, nil, maxCleanDepth) // what is in a key that is no text
	}
	return secret.Redacted, nil
}

func (r *redactor) scalar(node *yaml.Node, of *layout) *yaml.Node {
	switch {
	case of != nil && of.inside != nil:
		return scalarNode(r.yaml(node.Value, of.inside))
	case node.Value == "" || node.Tag == "!!null":
		return scalarNode("")
	case of != nil && of.form != nil && of.form(node.Value):
		return scalarNode(node.Value)
	}
	return scalarNode(r.take(node.Value))
}

func scalarNode(value string) *yaml.Node {
	node := &yaml.Node{}
	node.SetString(value)
	if isBool(value) || isNumber(value) {
		node.Tag = "" // as it is written
	}
	return node
}
