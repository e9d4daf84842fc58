package gcp

import (
	"errors"
	"strings"

	"github.com/lanyardhq/lanyard/provider/dialect"
)

// Pin is how a class names the version of an object: at the end of its resourceName.
var Pin = dialect.Pin{
	Parameter: parameterSecrets,
	Edits: func(field func(string) string, version string) ([]dialect.FieldEdit, error) {
		name := field(fieldResource)
		at := strings.LastIndex(name, "/versions/")
		switch {
		case at < 0:
			return nil, errors.New(fieldResource + " names no version; end it with /versions/latest first")
		case version == "" && strings.Contains(name, "/parameters/"):
			return nil, errors.New("a parameter has no latest version; name another one with --version")
		case version == "latest":
			return nil, errors.New("latest is no version to stay at; give --unpin to follow it")
		case version == "":
			version = "latest"
		}
		return []dialect.FieldEdit{{Field: fieldResource, Text: name[:at] + "/versions/" + version}}, nil
	},
}
