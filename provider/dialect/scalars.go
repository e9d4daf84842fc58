package dialect

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Text accepts any scalar as written, like the decoders of other providers: numbers,
// true and 1.10 alike. A field without a value counts as absent.
type Text string

// UnmarshalYAML implements yaml.Unmarshaler.
func (t *Text) UnmarshalYAML(node *yaml.Node) error {
	switch {
	case node.Kind != yaml.ScalarNode:
		return errors.New("must be text")
	case node.Tag != "!!null":
		*t = Text(node.Value)
	}
	return nil
}

// Permission is permission bits in any notation of YAML: 0600, 0o600 or 384.
type Permission fs.FileMode

// UnmarshalYAML implements yaml.Unmarshaler.
func (p *Permission) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		return nil
	}
	bits, err := strconv.ParseUint(strings.TrimPrefix(node.Value, "+"), 0, 32)
	switch {
	case node.Kind != yaml.ScalarNode || node.Tag != "!!int" || err != nil:
		return errors.New("must be a number of permission bits, without quotes, such as 0600")
	case bits > 0o777:
		return errors.New("must be permission bits alone, at most 0777 (511 in decimal)")
	}
	*p = Permission(bits)
	return nil
}
