package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/strict"
)

// What makes a document a SecretProviderClass: the CRD in the driver's
// deploy/secrets-store.csi.x-k8s.io_secretproviderclasses.yaml.
const (
	Kind  = "SecretProviderClass"
	Group = "secrets-store.csi.x-k8s.io"
)

// maxLists bounds how deep lists of objects may lie in each other.
const maxLists = 16

// Class is a SecretProviderClass as it stands in a file or stream.
type Class struct {
	// Root is the class's own node.
	Root *yaml.Node
	// Document is the place of its document in the stream, counted from zero.
	Document int
}

// Name is the class's name; empty if it has none.
func (c Class) Name() string { return scalarAt(c.Root, "metadata.name") }

// Namespace is the class's namespace; empty if it names none.
func (c Class) Namespace() string { return scalarAt(c.Root, "metadata.namespace") }

// Provider is the class's provider; empty if it names none.
func (c Class) Provider() string { return scalarAt(c.Root, "spec.provider") }

// Documents parses a text of YAML or JSON documents. The error is a strict.Problems
// for a text that is not YAML from some line on; the documents before it are returned
// too.
func Documents(text []byte) ([]*yaml.Node, error) {
	if parts(text) > maxParts {
		return nil, strict.Problems{{Text: "holds too many fields, items and lines; divide it into several files"}}
	}
	var documents []*yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		document, err := strict.Next(decoder)
		switch {
		case errors.Is(err, io.EOF):
			return documents, nil
		case err != nil:
			return documents, err
		}
		documents = append(documents, document)
	}
}

// maxParts bounds the fields, items and lines of a text, and with them the memory that
// parsing takes, to some 300 MiB. A file of 30,000 sealed values has a tenth of it.
const maxParts = 1 << 20

// parts counts what can begin another map, list or scalar, each of which takes a
// hundred times its text in memory. A dash inside of a word begins none.
func parts(text []byte) int {
	count := 0
	for i, b := range text {
		switch b {
		case '\n', '\r', ',', '[', '{':
			count++
		case '-', ':', '?':
			if i+1 == len(text) || text[i+1] <= ' ' {
				count++
			}
		}
	}
	return count
}

// Object is an object of Kubernetes as it stands in a file or stream.
type Object struct {
	// Root is the object's own node.
	Root *yaml.Node
	// Document is the place of its document in the stream, counted from zero.
	Document int
}

// Kind is the object's kind; empty if it has none.
func (o Object) Kind() string { return scalarAt(o.Root, "kind") }

// Objects returns the objects that documents hold, in their order, those in lists of
// objects (kind: List) in the place of the list.
func Objects(documents []*yaml.Node) []Object {
	var found []Object
	for i, document := range documents {
		if len(document.Content) == 1 {
			found = appendObjects(found, document.Content[0], i, 0)
		}
	}
	return found
}

func appendObjects(found []Object, node *yaml.Node, document, depth int) []Object {
	if strings.HasSuffix(scalarAt(node, "kind"), "List") && depth < maxLists {
		if _, items, ok := strict.Find(node, "items"); ok && items.Kind == yaml.SequenceNode {
			for _, item := range items.Content {
				found = appendObjects(found, item, document, depth+1)
			}
			return found
		}
	}
	return append(found, Object{node, document})
}

// Classes returns the classes among documents, in their order, those in lists of
// objects included. It is the one place that says what a class is: every
// command that reads classes uses it. A document of another kind, or of this kind and
// another API group, is not a class. One whose apiVersion names no group is: somebody
// forgot the group, and CheckVersion tells so.
func Classes(documents []*yaml.Node) []Class {
	var found []Class
	for _, o := range Objects(documents) {
		group, _, grouped := strings.Cut(scalarAt(o.Root, "apiVersion"), "/")
		if o.Kind() == Kind && (group == Group || !grouped) {
			found = append(found, Class(o))
		}
	}
	return found
}

// Choose returns the place, among the classes, of the one that is called name, or
// with an empty name of the only one. The error says which there are.
func Choose(classes []Class, name string) (int, error) {
	names := make([]string, len(classes))
	var found []int
	for i, class := range classes {
		names[i] = message.Printable(class.Name())
		if name == "" || class.Name() == name {
			found = append(found, i)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(classes) == 0:
		return 0, errors.New("holds no " + Kind)
	case len(found) == 0:
		return 0, fmt.Errorf("holds no "+Kind+" named %s; it holds %s", message.Printable(name), strings.Join(names, ", "))
	case name == "":
		return 0, fmt.Errorf("holds several classes; choose one with --class: %s", strings.Join(names, ", "))
	}
	return 0, fmt.Errorf("holds class %s %d times; rename all but one", message.Printable(name), len(found))
}

// CheckVersion returns a strict.Problems for a class whose apiVersion the API server does
// not know, such as one without the group.
func (c Class) CheckVersion() error {
	if problems := c.checkVersion(); len(problems) > 0 {
		return problems
	}
	return nil
}

func (c Class) checkVersion() strict.Problems {
	const served = Group + "/v1"
	at, value, ok := strict.Find(c.Root, "apiVersion")
	if ok && (value.Value == served || value.Value == served+"alpha1") {
		return nil
	}
	return strict.Problems{{Line: at.Line, Column: at.Column, Field: "apiVersion", Text: "must be " + served}}
}

// Parameters are a class's parameters, as the API server would take them. The error
// is a strict.Problems with everything in the class that has another form.
func (c Class) Parameters() (map[string]string, error) {
	var d document
	if problems := append(strict.Decode(c.Root, &d), c.checkVersion()...); len(problems) > 0 {
		return nil, problems
	}
	return d.Spec.parameters(), nil
}
