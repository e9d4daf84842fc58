package gcp

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/internal/strict"
)

// The bounds of a value in YAML. Aliases count each time they are used.
const (
	maxYAMLNodes = 50_000
	maxYAMLDepth = 100
)

// errNotYAML says nothing of the value, not even the names of its fields.
var errNotYAML = errors.New("the value is not one YAML document of fields with text for names; leave the option out if it is not YAML")

// jsonOfYAML writes a YAML value as JSON with sorted fields. Numbers keep their
// spelling, as text where JSON does not know it, so that 0123 stays what it is;
// dates and everything else that JSON has no word for are text too.
func jsonOfYAML(value []byte) ([]byte, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(value))
	document, err := strict.Next(decoder)
	if err != nil || len(document.Content) != 1 {
		return nil, errNotYAML
	}
	if _, err := strict.Next(decoder); !errors.Is(err, io.EOF) {
		return nil, errNotYAML
	}
	c := yamlConverter{left: maxYAMLNodes}
	converted, err := c.convert(document.Content[0], 0)
	if err != nil {
		return nil, err
	}
	var asJSON bytes.Buffer
	encoder := json.NewEncoder(&asJSON)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(converted) != nil { //nolint:errchkjson // the converter makes nothing that JSON cannot say
		return nil, errNotYAML
	}
	return bytes.TrimSuffix(asJSON.Bytes(), []byte("\n")), nil
}

type yamlConverter struct{ left int }

func (c *yamlConverter) convert(node *yaml.Node, depth int) (any, error) {
	if c.left--; c.left < 0 || depth > maxYAMLDepth {
		return nil, errors.New("the value is YAML with too many fields, or nested too deeply")
	}
	switch node.Kind {
	case yaml.AliasNode:
		return c.convert(node.Alias, depth+1)
	case yaml.SequenceNode:
		list := make([]any, len(node.Content))
		for i, item := range node.Content {
			converted, err := c.convert(item, depth+1)
			if err != nil {
				return nil, err
			}
			list[i] = converted
		}
		return list, nil
	case yaml.MappingNode:
		return c.fields(node, depth)
	}
	return scalar(node), nil
}

func (c *yamlConverter) fields(node *yaml.Node, depth int) (any, error) {
	fields := make(map[string]any, len(node.Content)/2)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		if _, twice := fields[key.Value]; twice || key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" {
			return nil, errNotYAML
		}
		converted, err := c.convert(node.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		fields[key.Value] = converted
	}
	return fields, nil
}

func scalar(node *yaml.Node) any {
	switch node.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return node.Value[0] == 't' || node.Value[0] == 'T'
	case "!!int", "!!float":
		if json.Valid([]byte(node.Value)) {
			return json.Number(node.Value)
		}
	}
	return node.Value
}
