package config

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Size is a number of bytes, written as Kubernetes writes quantities: "32Mi",
// "500k", or a plain number.
type Size int64

// UnmarshalYAML implements yaml.Unmarshaler.
func (s *Size) UnmarshalYAML(node *yaml.Node) error {
	quantity, err := resource.ParseQuantity(node.Value)
	bytes, whole := quantity.AsInt64()
	if node.Kind != yaml.ScalarNode || err != nil || !whole || bytes < 0 {
		return errors.New(`must be a number of bytes, such as 512Ki, 32Mi or 1Gi`)
	}
	*s = Size(bytes)
	return nil
}

// MarshalYAML implements yaml.Marshaler.
func (s Size) MarshalYAML() (any, error) { return s.String(), nil }

// String is the size in the largest binary unit that needs no fraction.
func (s Size) String() string {
	for _, unit := range []struct {
		bytes Size
		name  string
	}{{1 << 30, "Gi"}, {1 << 20, "Mi"}, {1 << 10, "Ki"}} {
		if s >= unit.bytes && s%unit.bytes == 0 {
			return fmt.Sprintf("%d%s", s/unit.bytes, unit.name)
		}
	}
	return fmt.Sprint(int64(s))
}
