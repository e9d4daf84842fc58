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

// The fields that the original does not know, with the meaning that they have in a
// native class.
const (
	fieldExpand   = "expand"
	fieldEncoding = "encoding"
	fieldOptional = "optional"
)

// What a name ends with if all secrets or parameters right below the path are meant, or
// those further below too. No name has a star.
const (
	belowPath = "/*"
	belowTree = "/**"
)

// cutPath returns the path of a name that means several, without the slash at its end.
func cutPath(name string) (path string, recursive, several bool) {
	if path, recursive = strings.CutSuffix(name, belowTree); !recursive {
		path, several = strings.CutSuffix(name, belowPath)
	}
	if several = several || recursive; several && path == "" {
		path = "/"
	}
	return path, recursive, several
}

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

	Expand   bool         `yaml:"expand"`
	Encoding dialect.Text `yaml:"encoding"`
	Optional bool         `yaml:"optional"`
}

// part is a further file with a part of the object.
type part struct {
	Path       dialect.Text `yaml:"path"`
	Alias      dialect.Text `yaml:"objectAlias"`
	Permission dialect.Text `yaml:"filePermission"`

	Encoding dialect.Text `yaml:"encoding"`
	Optional bool         `yaml:"optional"`
}

// failover is the object's replacement in the failover region.
type failover struct {
	Name    dialect.Text `yaml:"objectName"`
	Version dialect.Text `yaml:"objectVersion"`
	Label   dialect.Text `yaml:"objectVersionLabel"`
}

func (p *parser) objects() []spec.Object {
	var objects []spec.Object
	names := names{secrets: map[string]entry{}, aliases: map[string]int{}}
	for i, e := range dialect.Entries(&p.Reader, p.parameters, parameterObjects, func(e entry) string { return string(e.Name) }) {
		objects = append(objects, p.object(i, e)...)
		names.add(i, e, func(field, format string, args ...any) {
			p.WrongIn(parameterObjects, i, string(e.Name), field, format, args...)
		})
	}
	if names.collide {
		return objects
	}
	return p.LastCounts(parameterObjects, fieldAlias, objects)
}

// names are those that the entries before have, of which the original refuses some a
// second time. Other files that become one are written one over the other there.
// https://github.com/aws/secrets-store-csi-driver-provider-aws/blob/main/provider/secret_descriptor.go
type names struct {
	secrets map[string]entry // the last entry of an objectName
	aliases map[string]int   // the entry of an objectAlias
	collide bool
}

func (n *names) add(i int, e entry, wrong wrongly) {
	before, again := n.secrets[string(e.Name)]
	if again && e.Name != "" && e.Alias == "" && before.Alias == "" && e.Label == before.Label {
		n.collide = true
		wrong(fieldName, "is used before already; give each of the two an %s, or leave one out", fieldAlias)
	}
	n.secrets[string(e.Name)] = e
	n.alias(i, string(e.Alias), fieldAlias, wrong)
	for j, of := range e.JMESPath {
		n.alias(i, string(of.Alias), partField(j)+fieldAlias, wrong)
	}
}

func (n *names) alias(i int, alias, field string, wrong wrongly) {
	if alias == "" {
		return
	}
	if first, again := n.aliases[alias]; again {
		n.collide = true
		wrong(field, "is used by object %d already; give each file a name of its own", first+1)
		return
	}
	n.aliases[alias] = i
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
		Mode:   permission(e.Permission, fieldPermission, wrong),
		Expand: e.Expand, Encoding: string(e.Encoding), Optional: e.Optional,
	}
	label := "stage"
	if whole.Store == ParameterStore {
		label = "label"
		if e.Version != "" && e.Label != "" {
			wrong(fieldLabel, "a parameter is read at %s or at %s; leave one of the two out", fieldVersion, fieldLabel)
		}
	}
	options := p.below(e, &whole, wrong)
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
		field := partField(j)
		if of.Path == "" && !p.Misread(i) {
			wrong(field+"path", "missing; give the JMESPath expression that selects the part")
		}
		if of.Alias == "" && !p.Misread(i) {
			wrong(field+fieldAlias, "missing; say which file the part becomes")
		}
		shown := whole
		shown.Path, shown.Property = p.file(string(of.Alias), ""), string(of.Path)
		shown.Expand, shown.Encoding, shown.Optional = false, string(of.Encoding), e.Optional || of.Optional
		if mode := permission(of.Permission, field+fieldPermission, wrong); mode != nil {
			shown.Mode = mode
		}
		objects = append(objects, shown)
	}
	return objects
}

// partField is the place of a part in its entry.
func partField(j int) string { return fieldJMESPath + "[" + strconv.Itoa(j) + "]." }

// below returns the options of an entry. If all below a path are meant, whole becomes one
// that reads and expands them.
func (p *parser) below(e entry, whole *spec.Object, wrong wrongly) map[string]any {
	path, recursive, several := cutPath(string(e.Name))
	switch {
	case !several:
		return map[string]any{}
	case strings.HasPrefix(path, "arn:"):
		wrong(fieldName, "an ARN names one secret or parameter; give the path alone, such as prod/db%s, and %s", belowPath, fieldType)
	case whole.Store == ParameterStore && !strings.HasPrefix(path, "/"):
		wrong(fieldName, "must begin with a slash to mean all parameters below a path, such as /prod/db%s", belowPath)
	}
	if e.Version != "" || e.Label != "" {
		wrong(fieldName, "reads the current ones alone; leave %s and %s out", fieldVersion, fieldLabel)
	}
	whole.Path, whole.Key, whole.Expand = p.file(string(e.Alias), path), path, true
	options := map[string]any{"path": true}
	if recursive {
		options["recursive"] = true
	}
	return options
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
	key, recursive, several := cutPath(string(of.Name))
	if _, ownRecursive, own := cutPath(string(e.Name)); of.Name != "" && (several != own || recursive != ownRecursive) {
		wrong(fieldFailover+"."+fieldName, "must end as the object's own %s: in %s, in %s, or in neither", fieldName, belowPath, belowTree)
	}
	fields := map[string]any{"key": key}
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
