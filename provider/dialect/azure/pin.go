package azure

import (
	"errors"

	"github.com/lanyardhq/lanyard/provider/dialect"
)

// Pin is how a class names the version of an object: in its field objectVersion.
var Pin = dialect.Pin{
	Parameter: parameterObjects, Array: "array",
	Edits: func(_ func(string) string, version string) ([]dialect.FieldEdit, error) {
		if version == "latest" {
			return nil, errors.New("latest is no version to stay at; give --unpin to follow it")
		}
		return []dialect.FieldEdit{{Field: fieldVersion, After: fieldName, Text: version}}, nil
	},
}
