package gcp

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/internal/strict"
)

// The bounds of a value in YAML. Aliases count each time they are used.
const (
	maxYAMLNodes = 50_000
	maxYAMLDepth = 100
	maxYAMLBytes = 1 << 20
)

// errNotYAML says nothing of the value, not even the names of its fields.
var errNotYAML = errors.New("the value is not YAML of fields with text for names; leave the option out if it is not YAML")

var errTooMuch = errors.New("the value is YAML with too many fields, or nested too deeply")

var errTag = errors.New("the value is YAML with a tag that its text does not fit, or that YAML does not define")

// jsonOfYAML writes a YAML value as JSON with sorted fields. Numbers keep their
// spelling, as text where JSON does not know it, so that 0123 stays what it is;
// dates are text too. What !!binary holds is decoded, as the parsers of other languages
// do. The first of several documents counts, and a field goes before one that is merged, as
// with the parser of Google's provider, which refuses fields that are given twice too.
// Unknown tags are refused.
func jsonOfYAML(value []byte) ([]byte, error) {
	if !strict.Parseable(value) {
		return nil, errTooMuch
	}
	document, err := strict.Next(yaml.NewDecoder(bytes.NewReader(value)))
	if err != nil || len(document.Content) != 1 {
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

type yamlConverter struct {
	left  int // nodes
	bytes int // of text, counted each time an alias uses it
}

func (c *yamlConverter) convert(node *yaml.Node, depth int) (any, error) {
	if c.left--; c.left < 0 || depth > maxYAMLDepth {
		return nil, errTooMuch
	}
	if c.bytes += len(node.Value); c.bytes > maxYAMLBytes {
		return nil, errors.New("the value is YAML whose aliases make too much text")
	}
	tag := node.ShortTag()
	switch {
	case node.Kind == yaml.AliasNode:
		return c.convert(node.Alias, depth+1)
	case node.Kind == yaml.SequenceNode && tag == "!!seq":
		list := make([]any, len(node.Content))
		for i, item := range node.Content {
			converted, err := c.convert(item, depth+1)
			if err != nil {
				return nil, err
			}
			list[i] = converted
		}
		return list, nil
	case node.Kind == yaml.MappingNode && tag == "!!map":
		return c.fields(node, depth)
	case node.Kind == yaml.ScalarNode:
		return scalar(node, tag)
	}
	return nil, errTag
}

func (c *yamlConverter) fields(node *yaml.Node, depth int) (any, error) {
	fields := make(map[string]any, len(node.Content)/2)
	var merged *yaml.Node
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		if key.ShortTag() == "!!merge" && merged == nil {
			merged = node.Content[i+1]
			continue
		}
		if key.Kind != yaml.ScalarNode || !slices.Contains([]string{"!!str", "!!int", "!!float", "!!bool", "!!timestamp"}, key.ShortTag()) {
			return nil, errNotYAML
		}
		if _, twice := fields[key.Value]; twice {
			return nil, errors.New("the value is YAML in which a field is given twice")
		}
		c.bytes += len(key.Value)
		converted, err := c.convert(node.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		fields[key.Value] = converted
	}
	if merged == nil {
		return fields, nil
	}
	return c.merge(fields, merged, depth)
}

// merge adds to fields those of a map, or of a list of maps of which the first goes before.
func (c *yamlConverter) merge(fields map[string]any, from *yaml.Node, depth int) (any, error) {
	converted, err := c.convert(from, depth+1)
	if err != nil {
		return nil, err
	}
	sources, isList := converted.([]any)
	if !isList {
		sources = []any{converted}
	}
	all := map[string]any{}
	for _, source := range slices.Backward(sources) {
		below, isMap := source.(map[string]any)
		if !isMap {
			return nil, errNotYAML
		}
		maps.Copy(all, below)
	}
	maps.Copy(all, fields)
	return all, nil
}

// scalar returns the value of a scalar, decoded if its tag says how. A tag that the text
// does not fit, and one that YAML does not define, are refused: another reader of the
// value would take it for something else.
func scalar(node *yaml.Node, tag string) (any, error) {
	text := node.Value
	switch tag {
	case "!!str", "!!timestamp":
		return text, nil
	case "!!null":
		if slices.Contains([]string{"", "~", "null", "Null", "NULL"}, text) {
			return nil, nil
		}
	case "!!bool":
		switch text {
		case "true", "True", "TRUE":
			return true, nil
		case "false", "False", "FALSE":
			return false, nil
		}
	case "!!int", "!!float":
		switch {
		case strings.ContainsAny(text[:min(1, len(text))], "-0123456789") && text != "" && json.Valid([]byte(text)):
			return json.Number(text), nil
		case isYAMLNumber(text):
			return text, nil
		}
	case "!!binary":
		decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
		switch {
		case err != nil:
			return nil, errors.New("the value is YAML with a !!binary that is no base64")
		case !utf8.Valid(decoded):
			return nil, errors.New("the value is YAML with a !!binary of bytes that are not UTF-8, which a JSON text cannot hold; read the whole value without `property`")
		}
		return string(decoded), nil
	}
	return nil, errTag
}

// isYAMLNumber tells the spellings of numbers that YAML has and JSON has not.
func isYAMLNumber(text string) bool {
	var number any
	if yaml.Unmarshal([]byte(text), &number) != nil {
		return false
	}
	switch number.(type) {
	case int, int64, uint64, float64:
		return true
	}
	return false
}
