package gcp

import (
	"io/fs"

	"github.com/lanyardhq/lanyard/provider/dialect"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// The fields of an entry.
const (
	fieldResource = "resourceName"
	fieldPath     = "path"
	fieldFileName = "fileName"
	fieldMode     = "mode"
	fieldJSONKey  = "extractJSONKey"
	fieldYAMLKey  = "extractYAMLKey"
)

// entry is one secret of the class.
type entry struct {
	Resource dialect.Text        `yaml:"resourceName"`
	Path     dialect.Text        `yaml:"path"`
	FileName dialect.Text        `yaml:"fileName"`
	Mode     *dialect.Permission `yaml:"mode"`
	JSONKey  dialect.Text        `yaml:"extractJSONKey"`
	YAMLKey  dialect.Text        `yaml:"extractYAMLKey"`
}

// file returns the entry's file: path or its older name fileName.
func (e entry) file() string {
	if e.Path != "" {
		return string(e.Path)
	}
	return string(e.FileName)
}

// object converts an entry.
func (p *parser) object(i int, e entry) spec.Object {
	o := spec.Object{Path: e.file(), Store: p.store, Entry: i + 1}
	wrong := func(field, text string) { p.WrongIn(parameterSecrets, i, o.Path, field, "%s", text) }
	misread := p.Misread(i)
	switch {
	case o.Path == "" && !misread:
		wrong(fieldPath, "missing; say which file the secret becomes")
	case e.Path != "" && e.FileName != "":
		p.Ignored(dialect.InEntry(parameterSecrets, i, o.Path, fieldFileName, "has no effect beside "+fieldPath))
	}
	if e.Resource == "" {
		if !misread {
			wrong(fieldResource, "missing; give the secret's version, such as projects/my-project/secrets/db/versions/latest")
		}
	} else {
		var problem string
		if o.Key, o.Version, problem = resource(string(e.Resource)); problem != "" {
			wrong(fieldResource, problem)
		}
	}
	switch {
	case e.JSONKey != "" && e.YAMLKey != "":
		wrong(fieldYAMLKey, "stands beside "+fieldJSONKey+", and a value is either JSON or YAML; keep one of the two")
	case e.JSONKey != "":
		o.Property = dialect.Property(string(e.JSONKey))
	case e.YAMLKey != "":
		o.Property = dialect.Property(string(e.YAMLKey))
		o.Options = map[string]any{"format": "yaml"}
	}
	if e.Mode != nil {
		mode := fs.FileMode(*e.Mode)
		o.Mode = &mode
	}
	return o
}
