package config

import (
	"errors"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/internal/address"
)

// ClassStores are the patterns of the addresses of the stores that classes may
// define, written as false for none, true for all that are not reserved, or a list.
type ClassStores []string

// AnyClassStore lets classes define stores at every address that is not reserved.
func AnyClassStore() ClassStores { return ClassStores{address.Any} }

// UnmarshalYAML implements yaml.Unmarshaler.
func (c *ClassStores) UnmarshalYAML(node *yaml.Node) error {
	var all bool
	var patterns []string
	switch {
	case node.Kind == yaml.ScalarNode && node.Tag == "!!bool" && node.Decode(&all) == nil:
		*c = nil
		if all {
			*c = AnyClassStore()
		}
	case node.Kind == yaml.SequenceNode && node.Decode(&patterns) == nil:
		*c = patterns
	default:
		return errors.New(`must be true, false, or a list of addresses such as ["vault.example.com:8200", "*.vault.azure.net", 10.0.0.0/8]`)
	}
	return nil
}

// MarshalYAML implements yaml.Marshaler.
func (c ClassStores) MarshalYAML() (any, error) {
	switch {
	case len(c) == 0:
		return false, nil
	case len(c) == 1 && c[0] == address.Any:
		return true, nil
	}
	return []string(c), nil
}
