package spec

import (
	"fmt"
	"strings"
)

// Words are a dialect's own names for fields, by the native ones: "objects" for
// the parameter that lists them, "objects[].key" for a field of each object,
// and "stores.vault.address" for a setting of a store. A name stands for all
// that is below it too, and what is not named here is called as it is.
type Words map[string]string

// Of returns the dialect's name for a field, such as "objects[2].key".
func (w Words) Of(field string) string {
	const list = "objects"
	rest, isObject := strings.CutPrefix(field, list+"[")
	if !isObject {
		return w.longest("", field)
	}
	index, below, _ := strings.Cut(rest, "]")
	name := w.longest("", list) + "[" + index + "]"
	if below = strings.TrimPrefix(below, "."); below == "" {
		return name
	}
	return name + "." + w.longest(list+"[].", below)
}

// longest replaces the longest part from the field's beginning that has a word
// under the prefix.
func (w Words) longest(prefix, field string) string {
	for at := len(field); at > 0; at = strings.LastIndexAny(field[:at], ".[") {
		if word, ok := w[prefix+field[:at]]; ok {
			return word + field[at:]
		}
	}
	return field
}

// number is what messages call object i: the place of its entry in the class.
func (c *Class) Number(i int) int {
	if entry := c.Objects[i].Entry; entry > 0 {
		return entry
	}
	return i + 1
}

// told returns problems that this package found in the words of the class.
func (c *Class) InDialect(problems Problems) Problems {
	for i, p := range problems {
		if p.Object > 0 && p.Object <= len(c.Objects) {
			number := c.Number(p.Object - 1)
			p.Field = strings.Replace(p.Field, fmt.Sprintf("objects[%d]", p.Object-1), fmt.Sprintf("objects[%d]", number-1), 1)
			p.Object = number
		}
		p.Field = c.Words.Of(p.Field)
		problems[i] = p
	}
	return problems
}
