package dialect

import (
	"strings"

	"github.com/lanyardhq/lanyard/provider/spec"
)

// Pin is how the classes of a dialect name the version of an object.
type Pin struct {
	// Parameter is the parameter that lists the objects. Array is the field of it that
	// has the list, whose entries are then texts of YAML; empty where the parameter is
	// the list.
	Parameter, Array string
	// Edits are what to write into an entry so that it names the version, or with an
	// empty one the current version. field returns the text of a field of the entry;
	// empty if it has none. The error says what to do in its place, in one clause.
	Edits func(field func(name string) string, version string) ([]FieldEdit, error)
	// Named is the version, or the label of one, that an object names; empty for the
	// current one. Nil means Object.Version.
	Named func(spec.Object) string
}

// FieldEdit is a new text of one field of an entry.
type FieldEdit struct {
	// Field is the field's dotted name, and After the field beside it below which it is
	// put if the entry has none.
	Field, After string
	// Text is what to write; empty empties the field or takes it out.
	Text string
}

// NamedBy is what an object names, as Named says.
func (p Pin) NamedBy(o spec.Object) string {
	if p.Named == nil {
		return o.Version
	}
	return p.Named(o)
}

// IsVersion says whether a text can be the version, or the label of one, of any store, and
// means nothing else in a class.
func IsVersion(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"'\\?&#/%", r) })
}
