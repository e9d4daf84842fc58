package classfile

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

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

func newObjects(e Entry) []string {
	return append([]string{"objects: |"}, indented(newEntry(e), 2)...)
}

func newParameters(e Entry) []string {
	return append([]string{"parameters:"}, indented(newObjects(e), 2)...)
}

// plain writes a name as a YAML scalar, quoted if it must be.
func plain(name string) string {
	text, err := yaml.Marshal(name)
	if err != nil || strings.Count(string(text), "\n") != 1 {
		return fmt.Sprintf("%q", name)
	}
	return strings.TrimSuffix(string(text), "\n")
}
