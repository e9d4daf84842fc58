package strict

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// nodeOf turns what a YAML or JSON decoder made into the node it came from, as
// far as that can be told: how a number was spelled cannot. The problem is
// empty if there is none.
func nodeOf(v reflect.Value, depth int) (node *yaml.Node, problem string) {
	if depth > maxDepth {
		return nil, tooDeep
	}
	for v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	scalar := func(tag, text string) (*yaml.Node, string) {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text}, ""
	}
	switch v.Kind() {
	case reflect.Invalid:
		return scalar("!!null", "")
	case reflect.String:
		return scalar("!!str", v.String())
	case reflect.Bool:
		return scalar("!!bool", strconv.FormatBool(v.Bool()))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if v.Type() == reflect.TypeFor[time.Duration]() {
			return scalar("!!str", fmt.Sprint(v.Interface()))
		}
		return scalar("!!int", strconv.FormatInt(v.Int(), 10))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return scalar("!!int", strconv.FormatUint(v.Uint(), 10))
	case reflect.Float32, reflect.Float64:
		// JSON's decoder makes every number a float; beyond 2^53 it may have
		// lost digits.
		if f := v.Float(); f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return scalar("!!int", strconv.FormatInt(int64(f), 10))
		}
		return scalar("!!float", strconv.FormatFloat(v.Float(), 'g', -1, 64))
	case reflect.Slice:
		node = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for i := range v.Len() {
			item, problem := nodeOf(v.Index(i), depth+1)
			if problem != "" {
				return nil, problem
			}
			node.Content = append(node.Content, item)
		}
		return node, ""
	case reflect.Map:
		if v.Type().Key().Kind() != reflect.String {
			return nil, "a field's name must be text"
		}
		return mapOf(v, depth)
	default:
		return nil, fmt.Sprintf("holds a %s, which no document can", v.Type())
	}
}

// mapOf is nodeOf for a map, whose fields it sorts.
func mapOf(v reflect.Value, depth int) (*yaml.Node, string) {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
	node := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, key := range keys {
		value, problem := nodeOf(v.MapIndex(key), depth+1)
		if problem != "" {
			return nil, problem
		}
		node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key.String()}, value)
	}
	return node, ""
}
