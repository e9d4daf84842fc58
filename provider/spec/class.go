// Package spec is what a class says: its objects, its stores, and what is wrong
// with it, in the words of the dialect that it is written in. It knows neither
// the operator's configuration nor what a store can do, and makes no call.
//
// Start with Class.
package spec

import (
	"io/fs"
	"strings"
	"time"
)

// Class is what a dialect understood from a class's parameters. It holds what
// the class says and nothing that the operator's configuration adds.
type Class struct {
	// Stores are the settings of the stores that the class defines or adds
	// to, by name, each with its "type" where the class gives one, and with its
	// BaseField if it is a store of the operator's under another name.
	Stores map[string]map[string]any
	// Defaults are what the dialect implies of those stores, as Stores has
	// it. They hold only for a store that the operator's configuration does
	// not name, and only where the class says nothing itself.
	Defaults map[string]map[string]any
	// Refresh is the class's refresh interval; zero leaves it to the operator.
	Refresh time.Duration
	// Objects are in the class's order.
	Objects []Object
	// Words are the dialect's own names for what this package calls by the
	// native ones, so that messages speak the class's language.
	Words Words
	// Idle are the settings of the class that have no effect, in the dialect
	// that it is written in and therefore here. They are no problems; who
	// converts the class leaves them out and says so.
	Idle Problems
}

// Object is one entry of a class. It gets its value from exactly one of Key
// (with Store), Sealed and Template.
type Object struct {
	// Path is the object's file, relative to the volume; empty if the object
	// is only for templates.
	Path string
	// Name is what templates and sealed values call the object; empty means
	// its Path.
	Name string

	// Store names the store that Key is read from.
	Store string
	// Key is the store's own name for the secret.
	Key string
	// Version is the store's own name for one version; empty means the current.
	Version string
	// Options are what only one store knows.
	Options map[string]any

	// Sealed is the text of a sealed value.
	Sealed string

	// Template is the text of a template over the class's other objects.
	Template string

	// Property is a JMESPath expression into a JSON value; empty takes all of it.
	Property string
	// Encoding is how the value is encoded where it is kept: "" or "utf-8" for
	// as it is, "base64" or "hex" to decode.
	Encoding string
	// Expand makes every top-level key of a JSON object a file below Path.
	Expand bool

	// Mode is the file's mode; nil leaves it to the request.
	Mode *fs.FileMode
	// Optional makes a missing secret or property leave the file out instead
	// of failing the mount.
	Optional bool
	// Refresh is the object's refresh interval; zero leaves it to the class.
	Refresh time.Duration

	// Entry is the place, counted from one, of the entry in the class's list
	// that the object was made from, for dialects that make several objects of
	// one entry. Zero means the object's own place among Objects.
	Entry int
}

// ID is what versions, templates and messages call the object.
func (o Object) ID() string {
	if o.Name != "" {
		return o.Name
	}
	return o.Path
}

// Named returns the places of the objects that a person calls name: by the path, else by
// the name, else by the store's own name for the secret or the end of it.
func (c *Class) Named(name string) []int {
	ways := []func(Object) bool{
		func(o Object) bool { return o.Path == name },
		func(o Object) bool { return o.Name == name },
		func(o Object) bool { return o.Key == name },
		func(o Object) bool { return strings.HasSuffix(o.Key, "/"+name) },
	}
	for _, is := range ways {
		var found []int
		for i, o := range c.Objects {
			if name != "" && is(o) {
				found = append(found, i)
			}
		}
		if found != nil {
			return found
		}
	}
	return nil
}

// A Dialect turns the parameters of a class into a Class. It judges syntax
// alone: what the objects mean together is the engine's to check. Its error is
// a Problems. It knows nothing of the operator's configuration and makes no call.
type Dialect func(parameters map[string]string) (*Class, error)
