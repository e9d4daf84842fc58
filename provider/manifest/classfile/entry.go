package classfile

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// distinct refuses entries of one object.
func distinct(entries []Entry) error {
	ids := map[string]bool{}
	for _, entry := range entries {
		if ids[entry.id()] {
			return fmt.Errorf("two values are for one object, %q", entry.id())
		}
		ids[entry.id()] = true
	}
	return nil
}

// change is an entry for an object that the class has.
type change struct {
	object *yaml.Node
	entry  Entry
}

// divide tells the entries of new objects from those of objects in the list,
// which come in the list's order.
func divide(list *yaml.Node, entries []Entry) (fresh []Entry, changed []change, err error) {
	var problems []error
	for _, entry := range entries {
		object, err := find(list, entry)
		switch {
		case err != nil:
			problems = append(problems, err)
		case object == nil:
			fresh = append(fresh, entry)
		default:
			changed = append(changed, change{object, entry})
		}
	}
	slices.SortFunc(changed, func(a, b change) int { return cmp.Compare(a.object.Line, b.object.Line) })
	return fresh, changed, errors.Join(problems...)
}

// find returns the object that the entry is for; nil if the list has none.
func find(list *yaml.Node, entry Entry) (*yaml.Node, error) {
	if list == nil {
		return nil, nil
	}
	var found *yaml.Node
	for i, object := range list.Content {
		path, id := scalar(lookup(object, "path")), idOf(object)
		if id != entry.id() && (entry.Path == "" || path != entry.Path) {
			continue
		}
		switch {
		case found != nil:
			return nil, fmt.Errorf("two objects are called %q; remove one", entry.id())
		case id != entry.id():
			return nil, fmt.Errorf("object %d (%s) is named %q, and a value sealed for %q would not open there; seal it with --name %s", i+1, path, id, entry.id(), id)
		case entry.Path != "" && path != entry.Path:
			return nil, fmt.Errorf("object %d is named %q too, and its path is %q; use that path, or another --name", i+1, id, path)
		}
		for _, field := range []string{"store", "key", "version", "template", "options"} {
			if key, _ := lookupPair(object, field); key != nil {
				return nil, fmt.Errorf("object %d (%s) takes its value from elsewhere; remove its field %s first, or use another path", i+1, id, field)
			}
		}
		found = object
	}
	return found, nil
}

// idOf is what an object is called: its name, or its path if it has none.
func idOf(object *yaml.Node) string {
	if name := scalar(lookup(object, "name")); name != "" {
		return name
	}
	return scalar(lookup(object, "path"))
}

// Lines is the entry as it stands in a class's objects list.
func (e Entry) Lines() string { return strings.Join(newEntry(e), "\n") + "\n" }

func newEntry(e Entry) []string {
	var lines []string
	if e.Path != "" {
		lines = append(lines, "- path: "+plain(e.Path))
	}
	switch {
	case e.Path == "":
		lines = append(lines, "- name: "+plain(e.Name))
	case e.Name != "" && e.Name != e.Path:
		lines = append(lines, "  name: "+plain(e.Name))
	}
	return append(lines, "  sealed: "+e.Sealed)
}

func newEntries(entries []Entry) []string {
	var lines []string
	for _, entry := range entries {
		lines = append(lines, newEntry(entry)...)
	}
	return lines
}

func newObjects(entries []Entry) []string {
	return append([]string{"objects: |"}, indented(newEntries(entries), 2)...)
}

func newParameters(entries []Entry) []string {
	return append([]string{"parameters:"}, indented(newObjects(entries), 2)...)
}

// plain writes a name as a YAML scalar, quoted if it must be.
func plain(name string) string {
	text, err := yaml.Marshal(name)
	if err != nil || strings.Count(string(text), "\n") != 1 {
		return fmt.Sprintf("%q", name)
	}
	return strings.TrimSuffix(string(text), "\n")
}
