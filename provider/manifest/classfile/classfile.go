// Package classfile puts sealed values, and the versions of objects, into the YAML
// files of SecretProviderClasses as a careful person with an editor would: one value
// changes, and every other byte of the file, comments and order and formatting,
// stays as it is. It never writes a file, and it returns an error rather than a
// text whose meaning changed anywhere else.
//
// Start with Open for sealed values, and with Pin for versions.
package classfile

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/provider/manifest"
)

// File is a file that holds a class, and maybe other documents. It does not change.
type File struct {
	lines []string // with their line ends
	index int      // the class's place among the classes of the file
	class manifest.Class
	spec  *yaml.Node
	// objects are the class's objects, as far as they can be read.
	objects []*yaml.Node
}

// Entry is an object with a sealed value. Name is what the value is sealed for;
// it may be left out if it equals Path. Path may be left out for an object that
// is only for templates.
type Entry struct {
	Path   string
	Name   string
	Sealed string
}

// id is what the object is called in templates and scopes.
func (e Entry) id() string {
	if e.Name != "" {
		return e.Name
	}
	return e.Path
}

// Open finds the class in a text of any number of YAML documents: the one that
// is called name, or with an empty name the only one of provider lanyard.
func Open(text []byte, name string) (*File, error) {
	documents, err := manifest.Documents(text)
	if err != nil {
		return nil, err
	}
	classes := manifest.Classes(documents)
	var own []manifest.Class
	var places []int // of own among classes
	for i, class := range classes {
		if class.Provider() == "lanyard" {
			own, places = append(own, class), append(places, i)
		} else if name != "" && class.Name() == name {
			return nil, fmt.Errorf("class %q is of provider %q; sealed values are for provider lanyard", name, class.Provider())
		}
	}
	if len(own) == 0 && len(classes) > 0 {
		return nil, errors.New("holds no SecretProviderClass of provider lanyard")
	}
	chosen, err := manifest.Choose(own, name)
	if err != nil {
		return nil, err
	}
	f, err := newFile(text, own[chosen], places[chosen])
	if err == nil {
		f.objects = objectsOf(f.spec)
	}
	return f, err
}

// newFile is the file of a text with the class of this place in it.
func newFile(text []byte, class manifest.Class, place int) (*File, error) {
	if err := class.CheckVersion(); err != nil {
		return nil, err
	}
	// A field that is given twice would be edited in one place and read from another.
	var meaning any
	if err := class.Root.Decode(&meaning); err != nil {
		return nil, fmt.Errorf("cannot be read: %s", strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: ")), " "))
	}
	return &File{lines: splitLines(text), index: place, class: class, spec: lookup(class.Root, "spec")}, nil
}

// Data is the file as it was given to Open.
func (f *File) Data() []byte { return []byte(strings.Join(f.lines, "")) }

// Namespace is the class's namespace; empty if the file leaves it open.
func (f *File) Namespace() string { return f.class.Namespace() }

// ObjectName is what the class calls the object of a path: the name that the
// file gives it, or else the path.
func (f *File) ObjectName(path string) string {
	for _, object := range f.objects {
		if name := scalar(lookup(object, "name")); name != "" && scalar(lookup(object, "path")) == path {
			return name
		}
	}
	return path
}

// Has says whether the class has an object that is called name: by its name, or
// by its path if it has none.
func (f *File) Has(name string) bool {
	for _, object := range f.objects {
		if idOf(object) == name {
			return true
		}
	}
	return false
}

// objectsOf are the objects of a class, as far as they can be read.
func objectsOf(spec *yaml.Node) []*yaml.Node {
	list, err := parseList(scalar(lookup(lookup(spec, "parameters"), "objects")))
	if err != nil || list == nil {
		return nil
	}
	return list.Content
}

// Put returns the file with the entries' sealed values in it: in the place of the
// one before if the class has the object, else as new objects at the end, in the
// entries' order. The error tells every entry that cannot be put.
func (f *File) Put(entries ...Entry) ([]byte, error) {
	if err := distinct(entries); err != nil {
		return nil, err
	}
	lines, err := f.edit(entries)
	if err != nil {
		return nil, err
	}
	edited := []byte(strings.Join(lines, ""))
	if err := f.verify(edited, entries); err != nil {
		return nil, err
	}
	return edited, nil
}

// New is a file with a new class that has nothing but the entries. An empty
// namespace leaves it to who applies the file.
func New(name, namespace string, entries ...Entry) ([]byte, error) {
	if err := distinct(entries); err != nil {
		return nil, err
	}
	lines := []string{"apiVersion: secrets-store.csi.x-k8s.io/v1", "kind: SecretProviderClass", "metadata:", "  name: " + plain(name)}
	if namespace != "" {
		lines = append(lines, "  namespace: "+plain(namespace))
	}
	lines = append(lines, "spec:", "  provider: lanyard")
	lines = append(lines, indented(newParameters(entries), 2)...)
	return []byte(strings.Join(lines, "\n") + "\n"), nil
}

// parseList parses the text of the objects parameter; nil if it is empty.
func parseList(text string) (*yaml.Node, error) {
	documents, err := manifest.Documents([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("objects: %w", err)
	}
	if len(documents) == 0 || len(documents[0].Content) == 0 || documents[0].Content[0].Tag == "!!null" {
		return nil, nil
	}
	list := documents[0].Content[0]
	if len(documents) > 1 || list.Kind != yaml.SequenceNode || list.Style&yaml.FlowStyle != 0 {
		return nil, errors.New(`objects: is not a list with a line "- path: ..." for each object`)
	}
	return list, nil
}

// lookupPair returns a mapping's key and value nodes; nil if there is none.
func lookupPair(mapping *yaml.Node, key string) (*yaml.Node, *yaml.Node) {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Kind == yaml.ScalarNode && mapping.Content[i].Value == key {
			return mapping.Content[i], mapping.Content[i+1]
		}
	}
	return nil, nil
}

func lookup(mapping *yaml.Node, key string) *yaml.Node {
	_, value := lookupPair(mapping, key)
	return value
}

func scalar(node *yaml.Node) string {
	if node == nil || node.Kind != yaml.ScalarNode {
		return ""
	}
	return node.Value
}

func splitLines(data []byte) []string {
	var lines []string
	for line := range strings.Lines(string(data)) {
		lines = append(lines, line)
	}
	return lines
}
