package vault

import (
	"errors"
	"io/fs"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// text takes any scalar as it is written, as the original's decoder does:
// numbers, true and 1.10 alike. A field without a value is as if left out.
type text string

// UnmarshalYAML implements yaml.Unmarshaler.
func (t *text) UnmarshalYAML(node *yaml.Node) error {
	switch {
	case node.Kind != yaml.ScalarNode:
		return errors.New("must be text")
	case node.Tag != "!!null":
		*t = text(node.Value)
	}
	return nil
}

// permission is a number of permission bits in any of YAML's notations: 0600,
// 0o600 or 384. Zero leaves the mode to the driver.
type permission fs.FileMode

// UnmarshalYAML implements yaml.Unmarshaler.
func (p *permission) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		return nil
	}
	bits, err := strconv.ParseUint(node.Value, 0, 32)
	switch {
	case node.Kind != yaml.ScalarNode || node.Tag != "!!int" || err != nil:
		return errors.New("must be a number of permission bits, without quotes, such as 0600")
	case bits > 0o777:
		return errors.New("must be permission bits alone, at most 0777 (511 in decimal)")
	}
	*p = permission(bits)
	return nil
}
