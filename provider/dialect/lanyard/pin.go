package lanyard

import "github.com/lanyardhq/lanyard/provider/dialect"

// Pin is how a class names the version of an object: in its field version.
var Pin = dialect.Pin{
	Parameter: parameterObjects,
	Edits: func(_ func(string) string, version string) ([]dialect.FieldEdit, error) {
		return []dialect.FieldEdit{{Field: "version", After: "key", Text: version}}, nil
	},
}
