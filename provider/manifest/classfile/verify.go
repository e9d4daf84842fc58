package classfile

import (
	"errors"
	"reflect"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/provider/manifest"
)

// verify makes sure that the edit did what it should and nothing else, by what
// the YAML means. Positions in YAML are subtle, and a class must not be spoiled.
func (f *File) verify(edited []byte, entries []Entry) error {
	failed := errors.New("the values cannot be put into this file without changing other parts; add the entries by hand (lanyard seal --output entry)")
	before, objectsBefore, ok := f.apart(f.Data())
	after, objectsAfter, okAfter := f.apart(edited)
	if !ok || !okAfter || !reflect.DeepEqual(before, after) || !onlyEntriesChanged(objectsBefore, objectsAfter, entries) {
		return failed
	}
	return nil
}

// apart returns what the documents of a text mean, and apart from them the objects
// of the file's class.
func (f *File) apart(text []byte) (documents, objects []any, ok bool) {
	nodes, err := manifest.Documents(text)
	classes := manifest.Classes(nodes)
	if err != nil || f.index >= len(classes) {
		return nil, nil, false
	}
	spec := lookup(classes[f.index].Root, "spec")
	if parameters := lookup(spec, "parameters"); parameters != nil {
		if list := lookup(parameters, "objects"); yaml.Unmarshal([]byte(scalar(list)), &objects) != nil {
			return nil, nil, false
		}
		remove(parameters, "objects")
		// An edit may add the parameters.
		if len(parameters.Content) == 0 {
			remove(spec, "parameters")
		}
	}
	documents = make([]any, len(nodes))
	for i, node := range nodes {
		if node.Decode(&documents[i]) != nil {
			return nil, nil, false
		}
	}
	return documents, objects, true
}

// remove removes a field from a mapping that may have it.
func remove(mapping *yaml.Node, name string) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			mapping.Content = append(mapping.Content[:i:i], mapping.Content[i+2:]...)
			return
		}
	}
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
