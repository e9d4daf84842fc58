// Package lanyard is the native dialect: the parameters of a
// SecretProviderClass whose provider is lanyard. It turns their text into a
// provider.Class and judges syntax alone: fields, types, and how a mode or a
// duration is written. What the objects mean, alone and together, is
// provider.Class.Validate's to check; what the stores' settings mean is the
// stores' own.
//
// Start with Parse. The fields are described for users in docs/classes.md.
package lanyard

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/provider"
	"github.com/lanyardhq/lanyard/provider/strict"
)

// Name is the provider's name in a SecretProviderClass.
const Name = "lanyard"

// The parameters of a class.
const (
	parameterObjects = "objects" // a list, required
	parameterStores  = "stores"  // settings by the store's name
	parameterRefresh = "refresh" // a duration
)

// Parse is the dialect. Its error is a provider.Problems with all that is wrong
// with the syntax; the class then holds what was understood, which is good for
// finding more problems and for nothing else.
func Parse(parameters map[string]string) (*provider.Class, error) {
	class := &provider.Class{}
	p := parser{}
	known := []string{parameterObjects, parameterStores, parameterRefresh}
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		if !slices.Contains(known, name) {
			p.add(provider.Problem{Field: name, Text: strict.Unknown("parameter", name, known)})
		}
	}
	if text, ok := parameters[parameterRefresh]; ok {
		class.Refresh = p.refresh(text)
	}
	if text, ok := parameters[parameterStores]; ok {
		p.collect(parameterStores, strict.Unmarshal([]byte(text), &class.Stores), nil)
	}
	text, ok := parameters[parameterObjects]
	if !ok {
		p.add(provider.Problem{Field: parameterObjects, Text: "missing; list what the volume is to hold"})
	} else {
		class.Objects = p.objects(text)
	}
	if len(p.problems) > 0 {
		slices.SortStableFunc(p.problems, func(a, b provider.Problem) int { return a.Object - b.Object })
		return class, p.problems
	}
	return class, nil
}

// parser collects what is wrong.
type parser struct{ problems provider.Problems }

func (p *parser) add(problem provider.Problem) { p.problems = append(p.problems, problem) }

func (p *parser) refresh(text string) time.Duration {
	d, err := time.ParseDuration(strings.TrimSpace(text))
	if err != nil || d <= 0 {
		p.add(provider.Problem{Field: parameterRefresh, Text: badDuration})
		return 0
	}
	return d
}

const badDuration = "must be a duration such as 30s, 5m or 2h"

// fields are one object as it is written.
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

func (p *parser) objects(text string) []provider.Object {
	var list []fields
	err := strict.Unmarshal([]byte(text), &list)
	objects := make([]provider.Object, len(list))
	for i, f := range list {
		objects[i] = provider.Object{
			Path: f.Path, Name: f.Name,
			Store: f.Store, Key: f.Key, Version: f.Version, Options: f.Options,
			// A ciphertext is often a block of its own and ends with a line break.
			Sealed:   strings.TrimSpace(f.Sealed),
			Template: f.Template, Property: f.Property, Encoding: f.Encoding,
			Expand: f.Expand, Optional: f.Optional,
		}
	}
	p.collect(parameterObjects, err, objects)
	for i, f := range list {
		wrong := func(field, text string) {
			p.add(provider.Problem{Field: fmt.Sprintf("objects[%d].%s", i, field), Object: i + 1, ID: objects[i].ID(), Text: text})
		}
		if f.Mode != nil {
			mode, text := parseMode(*f.Mode)
			if text != "" {
				wrong("mode", text)
			}
			objects[i].Mode = &mode
		}
		if f.Refresh != nil {
			if *f.Refresh == 0 {
				wrong("refresh", badDuration)
			}
			objects[i].Refresh = *f.Refresh
		}
	}
	return objects
}

const notMode = `must be an octal mode of four digits, such as "0440"`

// parseMode reads a mode of permission bits, which has one spelling: four octal
// digits. The leading zero tells it from 420, which is what tools that rewrite
// YAML make of an unquoted 0644.
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

// collect takes over what package strict said of a parameter.
func (p *parser) collect(parameter string, err error, objects []provider.Object) {
	var problems strict.Problems
	if !errors.As(err, &problems) {
		return
	}
	for _, s := range problems {
		field := parameter
		switch {
		case strings.HasPrefix(s.Field, "["):
			field += s.Field
		case s.Field != "":
			field += "." + s.Field
		}
		problem := provider.Problem{Field: field, Line: s.Line, Column: s.Column, Text: s.Text}
		if i := objectIndex(s.Field); i >= 0 && objects != nil {
			problem.Object = i + 1
			if i < len(objects) {
				problem.ID = objects[i].ID()
			}
		}
		p.add(problem)
	}
}

// objectIndex is the index that a field begins with, or -1.
func objectIndex(field string) int {
	text, _, ok := strings.Cut(strings.TrimPrefix(field, "["), "]")
	if !ok || !strings.HasPrefix(field, "[") {
		return -1
	}
	i, err := strconv.Atoi(text)
	if err != nil {
		return -1
	}
	return i
}
