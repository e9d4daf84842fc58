// Package lanyard is the native dialect, provider: lanyard. It parses parameters into
// a spec.Class and checks syntax only: fields, types, and the form of modes and
// durations. spec.Class.Validate checks the meaning of objects, and the stores check
// their settings.
//
// Start with Parse. The fields are described for users in docs/classes.md.
package lanyard

import (
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/provider/dialect"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// Name is the provider's name in a SecretProviderClass.
const Name = "lanyard"

// The parameters of a class.
const (
	parameterObjects = "objects" // a list, required
	parameterStores  = "stores"  // settings by the store's name
	parameterRefresh = "refresh" // a duration
)

// Parse parses the parameters. Its error is a spec.Problems with every syntax error;
// the class then holds the valid parts, for finding further problems only.
func Parse(parameters map[string]string) (*spec.Class, error) {
	class := &spec.Class{}
	p := parser{}
	p.Unknown(parameters, []string{parameterObjects, parameterStores, parameterRefresh})
	if text, ok := parameters[parameterRefresh]; ok {
		class.Refresh = p.refresh(text)
	}
	if text, ok := parameters[parameterStores]; ok {
		p.YAML(parameterStores, text, &class.Stores, nil)
	}
	class.Objects = p.objects(parameters)
	return class, p.Err()
}

// parser collects problems.
type parser struct{ dialect.Reader }

func (p *parser) refresh(text string) time.Duration {
	d, err := time.ParseDuration(strings.TrimSpace(text))
	if err != nil || d <= 0 {
		p.Wrong(parameterRefresh, "%s", badDuration)
		return 0
	}
	return d
}

const badDuration = "must be a duration such as 30s, 5m or 2h"

// fields is one object of the class.
type fields struct {
	Path     string         `yaml:"path"`
	Name     string         `yaml:"name"`
	Store    string         `yaml:"store"`
	Key      string         `yaml:"key"`
	Version  string         `yaml:"version"`
	Property string         `yaml:"property"`
	Encoding string         `yaml:"encoding"`
	Mode     *string        `yaml:"mode"`
	Optional bool           `yaml:"optional"`
	Refresh  *time.Duration `yaml:"refresh"`
	Expand   bool           `yaml:"expand"`
	Template string         `yaml:"template"`
	Sealed   string         `yaml:"sealed"`
	Options  map[string]any `yaml:"options"`
}

func (p *parser) objects(parameters map[string]string) []spec.Object {
	var objects []spec.Object
	for i, f := range dialect.Entries(&p.Reader, parameters, parameterObjects, func(e fields) string { return spec.Object{Path: e.Path, Name: e.Name}.ID() }) {
		o := spec.Object{
			Path: f.Path, Name: f.Name,
			Store: f.Store, Key: f.Key, Version: f.Version, Options: f.Options,
			// A ciphertext is often a YAML block, which ends with a line break.
			Sealed:   strings.TrimSpace(f.Sealed),
			Template: f.Template, Property: f.Property, Encoding: f.Encoding,
			Expand: f.Expand, Optional: f.Optional,
		}
		wrong := func(field, text string) {
			p.WrongIn(parameterObjects, i, o.ID(), field, "%s", text)
		}
		if f.Mode != nil {
			mode, text := parseMode(*f.Mode)
			if text != "" {
				wrong("mode", text)
			}
			o.Mode = &mode
		}
		if f.Refresh != nil {
			if *f.Refresh == 0 {
				wrong("refresh", badDuration)
			}
			o.Refresh = *f.Refresh
		}
		objects = append(objects, o)
	}
	return objects
}

const notMode = `must be an octal mode of four digits, such as "0440"`

// parseMode parses permission bits in their only spelling: four octal digits. The
// leading zero distinguishes 0644 from 420, which tools that rewrite YAML make of it.
func parseMode(text string) (mode fs.FileMode, problem string) {
	bits, err := strconv.ParseUint(text, 8, 32)
	switch {
	case err != nil:
		return 0, notMode
	case text[0] != '0':
		return 0, `must begin with a zero, such as "0440"; without it the number could be read as a decimal one`
	case bits > 0o777:
		return 0, `must be permission bits alone, from "0000" to "0777"`
	case len(text) != len("0440"):
		return 0, notMode
	}
	return fs.FileMode(bits), ""
}
