package strict

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// scalar decodes text, a number, true or false, or a duration.
func (d *decoder) scalar(node *yaml.Node, target reflect.Value, at *place) {
	if isNull(node) {
		if d.tolerant == nil {
			d.fail(at, wantValue)
		}
		return
	}
	if text := setScalar(node, target); text != "" {
		d.fail(at, text)
	}
}

// setScalar sets target and returns what is wrong, empty if nothing is.
func setScalar(node *yaml.Node, target reflect.Value) string {
	isScalar := node.Kind == yaml.ScalarNode
	if target.Type() == reflect.TypeFor[time.Duration]() {
		length, err := time.ParseDuration(node.Value)
		if !isScalar || err != nil || length < 0 {
			return "must be a duration such as 30s, 5m or 2h"
		}
		target.SetInt(int64(length))
		return ""
	}
	switch target.Kind() {
	case reflect.String:
		text, problem := textOf(node)
		if problem != "" {
			return problem
		}
		target.SetString(text)
	case reflect.Bool:
		if !isScalar || node.Tag != "!!bool" {
			return "must be true or false, without quotes"
		}
		// YAML's other spellings are True and TRUE, and the same for false.
		target.SetBool(node.Value[0] == 't' || node.Value[0] == 'T')
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		number, err := strconv.ParseInt(node.Value, 10, target.Type().Bits())
		if !isScalar || node.Tag != "!!int" || err != nil || !decimal(node.Value) {
			limit := "" // nobody means a number beyond 64 bits
			if bits := target.Type().Bits(); bits < 64 {
				limit = fmt.Sprintf(" of at most %d", uint64(1)<<(bits-1)-1)
			}
			return "must be a whole number" + limit + ", without quotes"
		}
		target.SetInt(number)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		number, err := strconv.ParseUint(node.Value, 10, target.Type().Bits())
		if !isScalar || node.Tag != "!!int" || err != nil || !decimal(node.Value) {
			return fmt.Sprintf("must be a whole number from 0 to %d, without quotes", uint64(math.MaxUint64)>>(64-target.Type().Bits()))
		}
		target.SetUint(number)
	case reflect.Float32, reflect.Float64:
		number, ok := finite(node.Value)
		if !isScalar || node.Tag != "!!int" && node.Tag != "!!float" || !ok {
			return "must be a number, without quotes"
		}
		target.SetFloat(number)
	default:
		return fmt.Sprintf("cannot be decoded into a %s", target.Type())
	}
	return ""
}

// textOf returns the text of a scalar as it is written. Whole numbers and dates
// are taken as they stand, 0440 and 2024-01-31 for example; what other tools
// would write differently after reading it (1.10, yes and no as true and false)
// has to be quoted.
func textOf(node *yaml.Node) (text, problem string) {
	if node.Kind != yaml.ScalarNode {
		return "", wantText
	}
	switch node.Tag {
	case "!!str", "!!int", "!!timestamp":
		return node.Value, ""
	case "!!null":
		return "", wantValue
	}
	return "", wantText + "; put it in quotes"
}

// free decodes node into what it says it is: map[string]any, []any, string,
// int, float64, bool, or nil for nothing. Numbers with two readings are
// refused, because what is meant is not known here.
func (d *decoder) free(node *yaml.Node, at *place) any {
	if d.full() || !d.plain(node, at) {
		return nil
	}
	switch node.Kind {
	case yaml.MappingNode:
		fields := make(map[string]any, len(node.Content)/2)
		d.pairs(node, at, nil, func(key, value *yaml.Node, at *place) {
			fields[key.Value] = d.free(value, at)
		})
		return fields
	case yaml.SequenceNode:
		items := make([]any, len(node.Content))
		for i, item := range node.Content {
			items[i] = d.free(item, at.item(i, item))
		}
		return items
	default:
		return d.freeScalar(node, at)
	}
}

func (d *decoder) freeScalar(node *yaml.Node, at *place) any {
	switch node.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return node.Value[0] == 't' || node.Value[0] == 'T'
	case "!!int":
		number, err := strconv.Atoi(node.Value)
		if err != nil || !decimal(node.Value) {
			d.fail(at, "can be read as several numbers; write it in decimal, or in quotes if it is text")
			return nil
		}
		return number
	case "!!float":
		number, ok := finite(node.Value)
		if !ok {
			d.fail(at, "must be a finite number, or text in quotes")
			return nil
		}
		return number
	}
	return node.Value
}

// decimal says that text is the only usual way to write its number.
func decimal(text string) bool {
	if text != "" && text[0] == '-' {
		text = text[1:]
	}
	return text == "0" || text != "" && text[0] >= '1' && text[0] <= '9'
}

func finite(text string) (float64, bool) {
	number, err := strconv.ParseFloat(text, 64)
	return number, err == nil && !math.IsInf(number, 0) && !math.IsNaN(number)
}
