package vault

import (
	"errors"
	"strings"

	"github.com/lanyardhq/lanyard/provider/dialect"
)

// Pin is how a class names the version of an object: in the query of its secretPath, as
// Vault's API does. secretArgs have no effect on a read.
// https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-secret-version
var Pin = dialect.Pin{
	Parameter: parameterObjects,
	Edits: func(field func(string) string, version string) ([]dialect.FieldEdit, error) {
		path, query, _ := strings.Cut(field(fieldPath), "?")
		switch {
		case path == "":
			return nil, errors.New(fieldPath + " is missing")
		case version != "" && !versionNumber.MatchString(version):
			return nil, errors.New("a version of KV version 2 is a whole number from 1")
		}
		var arguments []string
		for argument := range strings.SplitSeq(query, "&") {
			if name, _, _ := strings.Cut(argument, "="); argument != "" && name != "version" {
				arguments = append(arguments, argument)
			}
		}
		if version != "" {
			arguments = append(arguments, "version="+version)
		}
		if len(arguments) > 0 {
			path += "?" + strings.Join(arguments, "&")
		}
		return []dialect.FieldEdit{{Field: fieldPath, Text: path}}, nil
	},
}
