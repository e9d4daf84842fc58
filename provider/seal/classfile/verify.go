package classfile

import (
	"errors"
	"reflect"

	"go.yaml.in/yaml/v3"
)

// verify makes sure that the edit did what it should and nothing else, by what
// the YAML means. Positions in YAML are subtle, and a class must not be spoiled.
func (f *File) verify(edited []byte, entries []Entry) error {
	failed := errors.New("the values cannot be put into this file without changing other parts; add the entries by hand (lanyard seal --output entry)")
	before, err := parse(f.Data())
	if err != nil {
		return failed
	}
	after, err := parse(edited)
	if err != nil || len(before) != len(after) {
		return failed
	}
	var objectsBefore, objectsAfter []any
	for i := range before {
		var one, two any
		if before[i].Decode(&one) != nil || after[i].Decode(&two) != nil {
			return failed
		}
		if i == f.index {
			var okBefore, okAfter bool
			objectsBefore, okBefore = takeObjects(one)
			objectsAfter, okAfter = takeObjects(two)
			if !okBefore || !okAfter {
				return failed
			}
		}
		if !reflect.DeepEqual(one, two) {
			return failed
		}
	}
	if !onlyEntriesChanged(objectsBefore, objectsAfter, entries) {
		return failed
	}
	return nil
}

// takeObjects removes the objects from a class and returns them. Parameters
// that are empty then are removed too, because an edit may add them.
func takeObjects(class any) ([]any, bool) {
	spec, ok := field(class, "spec").(map[string]any)
	if !ok {
		return nil, false
	}
	var objects []any
	if parameters, ok := spec["parameters"].(map[string]any); ok {
		if text, ok := parameters["objects"].(string); ok && yaml.Unmarshal([]byte(text), &objects) != nil {
			return nil, false
		}
		delete(parameters, "objects")
		if len(parameters) > 0 {
			return objects, true
		}
	}
	delete(spec, "parameters")
	return objects, true
}

// onlyEntriesChanged is true if after is before with the entries' sealed values.
func onlyEntriesChanged(before, after []any, entries []Entry) bool {
	if len(after) < len(before) {
		return false
	}
	bySealed := map[string]Entry{}
	for _, entry := range entries {
		bySealed[entry.Sealed] = entry
	}
	found := 0
	for i := range after {
		text, isText := field(after[i], "sealed").(string)
		entry, ok := bySealed[text]
		if !isText || !ok {
			continue
		}
		found++
		if fields, ok := after[i].(map[string]any); !ok || !isCalled(fields, entry.id()) {
			return false
		}
		forget(after[i])
		if i < len(before) {
			forget(before[i])
			continue
		}
		want := map[string]any{}
		if entry.Path != "" {
			want["path"] = entry.Path
		}
		if entry.Path != entry.id() {
			want["name"] = entry.Name
		}
		before = append(before, want)
	}
	return found == len(entries) && len(bySealed) == len(entries) && reflect.DeepEqual(before, after)
}

func isCalled(object map[string]any, id string) bool {
	if name, ok := object["name"].(string); ok && name != "" {
		return name == id
	}
	return object["path"] == id
}

func forget(object any) {
	if fields, ok := object.(map[string]any); ok {
		delete(fields, "sealed")
	}
}

func field(object any, name string) any {
	fields, ok := object.(map[string]any)
	if !ok {
		return nil
	}
	return fields[name]
}
