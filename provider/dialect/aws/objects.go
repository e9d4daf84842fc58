package aws

import (
	"io/fs"
	"regexp"
	"strconv"
	"strings"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/dialect"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// The fields of an object.
const (
	fieldName       = "objectName"
	fieldType       = "objectType"
	fieldAlias      = "objectAlias"
	fieldVersion    = "objectVersion"
	fieldLabel      = "objectVersionLabel"
	fieldPermission = "filePermission"
	fieldJMESPath   = "jmesPath"
	fieldFailover   = "failoverObject"
)

// entry is one object of the class.
type entry struct {
	Name       dialect.Text `yaml:"objectName"`
	Type       dialect.Text `yaml:"objectType"`
	Alias      dialect.Text `yaml:"objectAlias"`
	Version    dialect.Text `yaml:"objectVersion"`
	Label      dialect.Text `yaml:"objectVersionLabel"`
	Permission dialect.Text `yaml:"filePermission"`
	JMESPath   []part       `yaml:"jmesPath"`
	Failover   *failover    `yaml:"failoverObject"`
}

// part is a further file with a part of the object.
type part struct {
	Path       dialect.Text `yaml:"path"`
	Alias      dialect.Text `yaml:"objectAlias"`
	Permission dialect.Text `yaml:"filePermission"`
}

// failover is the object's replacement in the failover region.
type failover struct {
	Name    dialect.Text `yaml:"objectName"`
	Version dialect.Text `yaml:"objectVersion"`
	Label   dialect.Text `yaml:"objectVersionLabel"`
}

func (p *parser) objects() []spec.Object {
	var objects []spec.Object
	for i, e := range dialect.Entries(&p.Reader, p.parameters, parameterObjects, func(e entry) string { return string(e.Name) }) {
		objects = append(objects, p.object(i, e)...)
	}
	return p.LastCounts(parameterObjects, fieldAlias, objects)
}

// wrongly adds a problem with a field of one entry.
type wrongly func(field, format string, args ...any)

// object returns an entry's objects: the whole and each part.
func (p *parser) object(i int, e entry) []spec.Object {
	wrong := wrongly(func(field, format string, args ...any) {
		p.WrongIn(parameterObjects, i, string(e.Name), field, format, args...)
	})
	if e.Name == "" && !p.Misread(i) {
		wrong(fieldName, "missing; give the secret's or parameter's name or ARN")
	}
	whole := spec.Object{
		Path: p.file(string(e.Alias), string(e.Name)), Entry: i + 1,
		Store: p.storeOf(e, p.Misread(i), wrong), Key: string(e.Name), Version: string(e.Version),
		Mode: permission(e.Permission, fieldPermission, wrong),
	}
	label := "stage"
	if whole.Store == ParameterStore {
		label = "label"
		if e.Version != "" && e.Label != "" {
			wrong(fieldLabel, "a parameter is read at %s or at %s; leave one of the two out", fieldVersion, fieldLabel)
		}
	}
	options := map[string]any{}
	if e.Label != "" {
		options[label] = string(e.Label)
	}
	if e.Failover != nil {
		options["failover"] = p.failover(e, label, wrong)
	}
	if len(options) > 0 {
		whole.Options = options
	}
	objects := []spec.Object{whole}
	for j, of := range e.JMESPath {
		field := fieldJMESPath + "[" + strconv.Itoa(j) + "]."
		if of.Path == "" && !p.Misread(i) {
			wrong(field+"path", "missing; give the JMESPath expression that selects the part")
		}
		if of.Alias == "" && !p.Misread(i) {
			wrong(field+fieldAlias, "missing; say which file the part becomes")
		}
		shown := whole
		shown.Path, shown.Property = p.file(string(of.Alias), ""), string(of.Path)
		if mode := permission(of.Permission, field+fieldPermission, wrong); mode != nil {
			shown.Mode = mode
		}
		objects = append(objects, shown)
	}
	return objects
}

// file returns the file's name: alias or name with slashes translated. Where slashes
// stay, leading ones are dropped.
func (p *parser) file(alias, name string) string {
	if alias == "" {
		alias = name
	}
	if p.slash == "" {
		return strings.TrimLeft(alias, "/")
	}
	return strings.ReplaceAll(alias, "/", p.slash)
}

// storeOf returns the object's store: that of its type, or of the service in its ARN.
func (p *parser) storeOf(e entry, misread bool, wrong wrongly) string {
	types := []string{SecretsManager, ParameterStore}
	named := service(string(e.Name))
	switch given := string(e.Type); {
	case given == SecretsManager || given == ParameterStore:
		if named != "" && named != given {
			wrong(fieldType, "is %s, and the ARN in %s is not; remove this field, or give the ARN of one", given, fieldName)
		}
		return given
	case given != "":
		wrong(fieldType, "%s", strict.Unknown("type", given, types))
	case named == "" && !misread && e.Name != "":
		wrong(fieldType, "missing; give %s or %s, or the whole ARN in %s", SecretsManager, ParameterStore, fieldName)
	}
	return named
}

// service returns the store of an ARN's service; "" for a plain name.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
func service(name string) string {
	parts := strings.SplitN(name, ":", 4)
	if len(parts) < 4 || parts[0] != "arn" {
		return ""
	}
	switch parts[2] {
	case "secretsmanager":
		return SecretsManager
	case "ssm":
		return ParameterStore
	}
	return ""
}

// failover is the object in the failover region: what it leaves out is as in the
// first.
func (p *parser) failover(e entry, label string, wrong wrongly) map[string]any {
	of := e.Failover
	if of.Name == "" {
		wrong(fieldFailover+"."+fieldName, "missing; give the name or ARN that the object has in %s", parameterFailover)
	}
	if e.Alias == "" {
		wrong(fieldAlias, "missing; with %s the file needs a name of its own", fieldFailover)
	}
	if p.parameters[parameterFailover] == "" {
		wrong(fieldFailover, "has no meaning without the parameter %s; give that, or remove this", parameterFailover)
	}
	if of.Version != e.Version {
		wrong(fieldFailover+"."+fieldVersion, "must be the same as the object's own %s", fieldVersion)
	}
	fields := map[string]any{"key": string(of.Name)}
	if of.Version != "" {
		fields["version"] = string(of.Version)
	}
	if of.Label == "" {
		of.Label = e.Label
	}
	if of.Label != "" {
		fields[label] = string(of.Label)
	}
	return fields
}

// fourDigits matches permissions as the original requires them.
var fourDigits = regexp.MustCompile(`^0[0-7]{3}$`)

// permission parses four octal digits; nil leaves the mode to the driver: 0644.
func permission(given dialect.Text, field string, wrong wrongly) *fs.FileMode {
	if given == "" {
		return nil
	}
	bits, err := strconv.ParseUint(string(given), 8, 32)
	if err != nil || !fourDigits.MatchString(string(given)) {
		wrong(field, `must be four octal digits of permission bits, such as "0440"`)
		return nil
	}
	mode := fs.FileMode(bits)
	return &mode
}
