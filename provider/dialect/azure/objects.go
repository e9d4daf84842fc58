package azure

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/dialect"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// The fields of an object.
const (
	fieldName       = "objectName"
	fieldAlias      = "objectAlias"
	fieldType       = "objectType"
	fieldVersion    = "objectVersion"
	fieldHistory    = "objectVersionHistory"
	fieldFormat     = "objectFormat"
	fieldEncoding   = "objectEncoding"
	fieldPermission = "filePermission"

	// The original has none of these.
	fieldProperty = "property"
	fieldOptional = "optional"
	fieldTags     = "objectTags"
	fieldVault    = "keyvaultName"
	fieldNotAfter = "objectVersionNotAfter"
)

// The types of an object and their collections in the vault.
const (
	typeSecret      = "secret"
	typeKey         = "key"
	typeCertificate = "cert"
)

// maxHistory limits objectVersionHistory; the store reads one version more.
const maxHistory = 49

// list is the parameter objects: texts that each hold YAML.
type list struct {
	Array []inner `yaml:"array"`
}

// entry is one object of the class.
type entry struct {
	Name       dialect.Text `yaml:"objectName"`
	Alias      dialect.Text `yaml:"objectAlias"`
	Type       dialect.Text `yaml:"objectType"`
	Version    dialect.Text `yaml:"objectVersion"`
	History    int          `yaml:"objectVersionHistory"`
	Format     dialect.Text `yaml:"objectFormat"`
	Encoding   dialect.Text `yaml:"objectEncoding"`
	Permission dialect.Text `yaml:"filePermission"`

	Property dialect.Text            `yaml:"property"`
	Optional bool                    `yaml:"optional"`
	Tags     map[string]dialect.Text `yaml:"objectTags"`
	Vault    dialect.Text            `yaml:"keyvaultName"`
	NotAfter dialect.Text            `yaml:"objectVersionNotAfter"`
}

// several is true if the entry names all secrets of a pattern.
func (e entry) several() bool { return strings.Contains(string(e.Name), "*") }

// file returns the object's file, or the directory of its versions.
func (e entry) file() string {
	if e.Alias != "" {
		return string(e.Alias)
	}
	return string(e.Name)
}

func (p *parser) objects(store, given string) []spec.Object {
	var texts list
	p.YAML(parameterObjects, given, &texts, nil)
	lines := strings.Split(given, "\n")
	var objects []spec.Object
	for i, text := range texts.Array {
		if strings.TrimSpace(text.value) == "" {
			if text.line > 0 { // else the reader has said so
				p.Ignored(dialect.InEntry(parameterObjects, i, "", "", strict.EmptyItem))
			}
			continue
		}
		for _, o := range p.entry(store, i, text, lines) {
			o.Entry = i + 1
			objects = append(objects, o)
		}
	}
	return p.LastCounts(parameterObjects, fieldAlias, withoutNamed(objects))
}

// withoutNamed returns the objects without those for the files of a certificate, which
// may not be there, where an entry of the class names the file.
func withoutNamed(objects []spec.Object) []spec.Object {
	isPart := func(o spec.Object) bool {
		return o.Options["separate"] == true && (o.Property == partCertificate || o.Property == partKey)
	}
	named := map[string]bool{}
	for _, o := range objects {
		named[path.Clean(o.Path)] = named[path.Clean(o.Path)] || !isPart(o)
	}
	return slices.DeleteFunc(objects, func(o spec.Object) bool { return isPart(o) && named[path.Clean(o.Path)] })
}

// What the store makes of a secret whose parts are separated.
const (
	partAll         = "all"
	partCertificate = "crt"
	partKey         = "key"
)

// entry decodes the YAML of one object and converts it.
func (p *parser) entry(store string, i int, text inner, lines []string) []spec.Object {
	var e entry
	problems, ignored := p.Decode(text.value, &e)
	// The original trims spaces around every text.
	for _, field := range []*dialect.Text{&e.Name, &e.Alias, &e.Type, &e.Version, &e.Format, &e.Encoding, &e.Permission, &e.Property, &e.Vault, &e.NotAfter} {
		*field = dialect.Text(strings.TrimSpace(string(*field)))
	}
	placed := func(field string, line, column int, said string) spec.Problem {
		problem := dialect.InEntry(parameterObjects, i, e.file(), field, said)
		problem.Line, problem.Column = text.outside(lines, line, column)
		return problem
	}
	at := func(field string, line, column int, said string) { p.Add(placed(field, line, column, said)) }
	for _, problem := range problems {
		said := problem.Text
		if problem.Field == "" && problem.Line > 0 {
			said = fmt.Sprintf("line %d of its text: %s", problem.Line, said)
		}
		at(problem.Field, problem.Line, problem.Column, said)
	}
	for _, problem := range ignored {
		p.Ignored(placed(problem.Field, problem.Line, problem.Column, problem.Text))
	}
	wrong := func(field, format string, args ...any) {
		line, column := text.find(field)
		at(field, line, column, fmt.Sprintf(format, args...))
	}
	o := e.object(p.storeOf(store, i, e, wrong), len(problems) > 0, wrong)
	if p.options.SeparateCertAndKey && e.Type == typeSecret && !e.several() && e.Property == "" {
		return separated(o)
	}
	return []spec.Object{o}
}

// separated returns the object and two for the files that exist beside it if it is the
// secret of a certificate. All are read with one call. Beside the files of a history, the
// store puts the others itself.
// https://azure.github.io/secrets-store-csi-driver-provider-azure/docs/configurations/feature-flags/
func separated(o spec.Object) []spec.Object {
	o.Options = maps.Clone(o.Options)
	if o.Options == nil {
		o.Options = map[string]any{}
	}
	o.Options["separate"] = true
	if o.Expand {
		return []spec.Object{o}
	}
	certificate, key := o, o
	certificate.Path, certificate.Property, certificate.Optional = o.Path+".crt", partCertificate, true
	key.Path, key.Property, key.Optional = o.Path+".key", partKey, true
	o.Property = partAll
	return []spec.Object{certificate, key, o}
}

// object converts an entry. misread says that part of it was not decoded, so that a
// field that seems missing may be there.
func (e entry) object(store string, misread bool, wrong func(field, format string, args ...any)) spec.Object {
	o := spec.Object{Path: e.file(), Store: store, Property: string(e.Property), Optional: e.Optional, Options: map[string]any{}}
	if e.Name == "" && !misread {
		wrong(fieldName, "missing; give the object's name in the vault")
	}
	o.Key = e.key(wrong, misread)
	// With several versions the latest is named so; a single one has no name.
	if e.Version != "latest" {
		o.Version = string(e.Version)
	}
	e.setSeveral(&o, wrong)
	e.setFormat(&o, wrong)
	e.setEncoding(&o, wrong)
	if e.History > maxHistory {
		wrong(fieldHistory, "must be at most %d", maxHistory)
	}
	if e.Property != "" && e.Type != typeSecret {
		wrong(fieldProperty, "is for the objectType secret alone")
	}
	if e.History > 1 && e.Property != "" && !e.several() {
		wrong(fieldProperty, "is for one version, and %s is above 1", fieldHistory)
	}
	if e.NotAfter != "" {
		o.Options["notAfter"] = string(e.NotAfter)
		if e.Version != "" {
			wrong(fieldNotAfter, "chooses the version by its time, and %s names one; leave one of the two out", fieldVersion)
		}
	}
	if e.History > 1 {
		// The original returns one version more than its documentation says
		// (getLatestNKeyVaultObjects in pkg/provider/provider.go), and classes rely on
		// it.
		o.Options["history"], o.Expand = e.History+1, true
	}
	if e.Permission != "" {
		bits, err := strconv.ParseUint(string(e.Permission), 8, 32)
		if err != nil || bits > 0o777 {
			wrong(fieldPermission, "must be an octal number of permission bits, such as 0440")
		}
		mode := fs.FileMode(bits) & fs.ModePerm
		o.Mode = &mode
	}
	if len(o.Options) == 0 {
		o.Options = nil
	}
	return o
}

// key returns the object's name with its collection.
func (e entry) key(wrong func(field, format string, args ...any), misread bool) string {
	types := []string{typeSecret, typeKey, typeCertificate}
	collections := []string{"secrets/", "keys/", "certificates/"}
	at := slices.Index(types, string(e.Type))
	switch {
	case e.Type == "" && misread:
	case e.Type == "":
		wrong(fieldType, "missing; must be secret, key or cert")
	case at < 0:
		wrong(fieldType, "%s", strict.Unknown("type", string(e.Type), types))
	default:
		return collections[at] + string(e.Name)
	}
	return ""
}

// setSeveral makes a directory of the secrets that a pattern names.
func (e entry) setSeveral(o *spec.Object, wrong func(field, format string, args ...any)) {
	if !e.several() {
		if len(e.Tags) > 0 {
			wrong(fieldTags, "choose among the secrets of a pattern; give an objectName with a *")
		}
		return
	}
	if e.Type != typeSecret {
		wrong(fieldType, "must be secret where objectName is a pattern")
	}
	if e.Alias == "" {
		wrong(fieldAlias, "missing; say which directory the files of the pattern lie in")
	}
	for _, alone := range []struct {
		field string
		given bool
	}{{fieldVersion, o.Version != ""}, {fieldHistory, e.History > 1}, {fieldNotAfter, e.NotAfter != ""}, {fieldProperty, e.Property != ""}} {
		if alone.given {
			wrong(alone.field, "is for one object, and objectName is a pattern")
		}
	}
	o.Expand = true
	if len(e.Tags) > 0 {
		tags := map[string]any{}
		for name, value := range e.Tags {
			tags[name] = string(value)
		}
		o.Options["tags"] = tags
	}
}

// setFormat converts a certificate's PFX to PEM unless the class wants PFX.
func (e entry) setFormat(o *spec.Object, wrong func(field, format string, args ...any)) {
	format := strings.ToLower(string(e.Format))
	switch {
	case format != "" && format != "pem" && format != "pfx":
		wrong(fieldFormat, "must be pem or pfx")
	case format == "pfx" && e.Type != typeSecret:
		wrong(fieldFormat, "pfx is for the objectType secret alone, which has a certificate's key and chain")
	case format != "pfx" && e.Type == typeSecret:
		o.Options["format"] = "pem"
	}
}

// setEncoding sets the decoding of the value. Secrets are UTF-8 anyway.
func (e entry) setEncoding(o *spec.Object, wrong func(field, format string, args ...any)) {
	encoding := strings.ToLower(string(e.Encoding))
	switch {
	case encoding != "" && e.Type != typeSecret:
		wrong(fieldEncoding, "is for the objectType secret alone")
	case !slices.Contains([]string{"", "utf-8", "base64", "hex"}, encoding):
		wrong(fieldEncoding, "must be utf-8, base64 or hex")
	case encoding != "utf-8":
		o.Encoding = encoding
	}
}
