package aws

import (
	"cmp"
	"regexp"

	"github.com/lanyardhq/lanyard/provider/dialect"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// What is a version, and not a label of one: the ID of a secret's, or the number of a
// parameter's. A label of a parameter begins with no digit.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
// https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-labels.html
var (
	secretVersion    = regexp.MustCompile(`^[A-Za-z0-9_-]{32,64}$`)
	parameterVersion = regexp.MustCompile(`^[0-9]+$`)
)

// Pin is how a class names the version of an object: in its field objectVersion, or by a
// label in objectVersionLabel; and in those of failoverObject too, which must agree.
var Pin = dialect.Pin{
	Parameter: parameterObjects,
	Edits: func(field func(string) string, version string) ([]dialect.FieldEdit, error) {
		isVersion := secretVersion
		if cmp.Or(field(fieldType), service(field(fieldName))) == ParameterStore {
			isVersion = parameterVersion
		}
		write, drop := fieldVersion, fieldLabel
		if version != "" && !isVersion.MatchString(version) {
			write, drop = fieldLabel, fieldVersion
		}
		var edits []dialect.FieldEdit
		for _, prefix := range []string{"", fieldFailover + "."} {
			if field(prefix+fieldName) == "" {
				continue
			}
			if field(prefix+drop) != "" {
				edits = append(edits, dialect.FieldEdit{Field: prefix + drop, After: fieldName})
			}
			if version != "" || field(prefix+write) != "" {
				edits = append(edits, dialect.FieldEdit{Field: prefix + write, After: fieldName, Text: version})
			}
		}
		return edits, nil
	},
	Named: func(o spec.Object) string {
		for _, label := range []string{"stage", "label"} {
			if text, ok := o.Options[label].(string); ok && o.Version == "" {
				return text
			}
		}
		return o.Version
	},
}
