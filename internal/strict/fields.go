package strict

import (
	"reflect"
	"slices"
	"strings"
)

// structFields are the fields of a struct type by their YAML names.
type structFields struct {
	index map[string][]int
	names []string // in the struct's order
	rest  []int    // the inline map for all others; nil if there is none
}

// fieldsOf reads the yaml tags of a struct type. Fields without a tag, and
// those that are called "-", are not for documents.
func fieldsOf(t reflect.Type) structFields {
	fields := structFields{index: map[string][]int{}}
	fields.add(t, nil)
	return fields
}

// add adds the fields of t, which is reached by the index before.
func (f *structFields) add(t reflect.Type, before []int) {
	for i := range t.NumField() {
		field := t.Field(i)
		index := append(slices.Clone(before), i)
		name, option, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		switch {
		case !field.IsExported():
		case option == "inline" && field.Type.Kind() == reflect.Struct:
			f.add(field.Type, index)
		case option == "inline" && field.Type == reflect.TypeFor[map[string]any]():
			f.rest = index
		case name != "" && name != "-":
			f.index[name] = index
			f.names = append(f.names, name)
		}
	}
}

// folded returns the field that name is in another case, or name itself.
func (f *structFields) folded(name string) string {
	for _, known := range f.names {
		if strings.EqualFold(known, name) {
			return known
		}
	}
	return name
}
