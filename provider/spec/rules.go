package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/lanyardhq/lanyard/internal/message"
)

const (
	minRefresh = time.Second
	maxRefresh = 30 * 24 * time.Hour
	maxName    = 253
)

// Validate returns the problems of the class alone: impossible objects and objects
// that conflict. It takes time in proportion to the class and makes no call; stores,
// configuration and values are not checked. The problems use the dialect's names.
func (c *Class) Validate() Problems { return c.InDialect(c.NativeProblems()) }

// NativeProblems is Validate with the native names of fields.
func (c *Class) NativeProblems() Problems {
	v := classValidator{class: c}
	if len(c.Objects) == 0 {
		v.problems = append(v.problems, Problem{Field: "objects", Text: "has no entries; list at least one object"})
	}
	if c.Refresh != 0 {
		if text := badRefresh(c.Refresh); text != "" {
			v.problems = append(v.problems, Problem{Field: "refresh", Text: text})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Stores)) {
		if !message.IsPlainName(name, 63) {
			v.problems = append(v.problems, Problem{Field: "stores." + name, Text: badStoreName})
		}
	}
	for i, o := range c.Objects {
		v.source(i, o)
		v.target(i, o)
	}
	v.duplicates()
	v.directories()
	slices.SortStableFunc(v.problems, func(a, b Problem) int { return a.Object - b.Object })
	return v.problems
}

const badStoreName = "a store's name must be at most 63 letters, digits, dots, dashes and underscores; rename it"

type classValidator struct {
	class    *Class
	problems Problems
}

// wrong reports a problem with a field of object i, or with the object itself
// if field is empty.
func (v *classValidator) wrong(i int, field, format string, args ...any) {
	place := fmt.Sprintf("objects[%d]", i)
	if field != "" {
		place += "." + field
	}
	v.problems = append(v.problems, Problem{Field: place, Object: i + 1, ID: v.class.Objects[i].ID(), Text: fmt.Sprintf(format, args...)})
}

// label is what messages call object i.
func (v *classValidator) label(i int) string {
	if id := v.class.Objects[i].ID(); id != "" {
		return fmt.Sprintf("object %d (%s)", v.class.Number(i), message.Printable(id))
	}
	return fmt.Sprintf("object %d", v.class.Number(i))
}

// source checks where an object's value comes from.
func (v *classValidator) source(i int, o Object) {
	var given []string
	for _, source := range []struct{ field, value string }{{"key", o.Key}, {"sealed", o.Sealed}, {"template", o.Template}} {
		if source.value != "" {
			given = append(given, source.field)
		}
	}
	switch {
	case len(given) > 1:
		v.wrong(i, given[len(given)-1], "%s are given, and an object takes its value from one of them; keep %s, and remove the rest", strings.Join(given, " and "), keepOne(given))
	case len(given) == 0 && o.Store != "":
		v.wrong(i, "key", "missing; give the store's own name for the secret")
	case len(given) == 0:
		v.wrong(i, "", "has no source; give store and key to read it from a store, sealed for a ciphertext, or template to make it of other objects")
	case o.Template != "":
		v.beside(i, o, "template")
	case o.Sealed != "":
		v.beside(i, o, "sealed")
	case o.Store == "":
		v.wrong(i, "store", "missing; name the store that key is read from")
	case !message.IsPlainName(o.Store, 63):
		v.wrong(i, "store", "%s", badStoreName)
	}
	if o.Refresh != 0 {
		if text := badRefresh(o.Refresh); text != "" {
			v.wrong(i, "refresh", "%s", text)
		}
	}
	if o.Encoding != "" && !slices.Contains([]string{"utf-8", "base64", "hex"}, o.Encoding) {
		v.wrong(i, "encoding", "must be base64 or hex to decode the value, utf-8 to accept text alone, or left out for bytes as they are")
	}
}

// keepOne says what each of the given sources would be kept for.
func keepOne(given []string) string {
	reasons := map[string]string{
		"key":      "key, with its store, to read it from there",
		"sealed":   "sealed to open the ciphertext",
		"template": "template to make it of other objects",
	}
	kept := make([]string, len(given))
	for i, field := range given {
		kept[i] = reasons[field]
	}
	return strings.Join(kept, ", or ")
}

// beside refuses the fields that mean nothing beside the object's source, so
// that nobody relies on one that has no effect.
func (v *classValidator) beside(i int, o Object, source string) {
	template := source == "template"
	for _, f := range []struct {
		field     string
		given     bool
		otherwise string
	}{
		{"store", o.Store != "", ""},
		{"version", o.Version != "", ""},
		{"options", template && len(o.Options) > 0, ""},
		{"property", template && o.Property != "", ", and set it on the objects that the template uses"},
		{"encoding", template && o.Encoding != "", ", and set it on the objects that the template uses"},
		{"optional", template && o.Optional, ", and set it on the objects that the template uses"},
		{"refresh", template && o.Refresh != 0, ", and set it on the objects that the template uses"},
		{"expand", template && o.Expand, "; a template makes one file"},
	} {
		if f.given {
			v.wrong(i, f.field, "has no meaning beside %s; remove it%s", source, f.otherwise)
		}
	}
}

// target checks where an object's value goes to.
func (v *classValidator) target(i int, o Object) {
	if o.Name != "" {
		if text := badName(o.Name); text != "" {
			v.wrong(i, "name", "%s", text)
		}
	}
	if o.Path != "" {
		if text := WrongPath(o.Path); text != "" {
			v.wrong(i, "path", "%s", text)
		}
		if o.Mode != nil && *o.Mode&^0o777 != 0 {
			v.wrong(i, "mode", `must be permission bits alone, from "0000" to "0777"`)
		}
		return
	}
	switch {
	case o.Template != "" && o.Key == "" && o.Sealed == "":
		v.wrong(i, "path", "missing; say which file the template makes")
	case o.Expand:
		v.wrong(i, "path", "missing; say below which directory expand puts its files")
	case o.Name == "":
		v.wrong(i, "path", "missing; give a path to make a file, or a name to use the value in templates alone")
	}
	if o.Mode != nil {
		v.wrong(i, "mode", "has no meaning without a path; remove it, or give a path to make a file")
	}
}

func badRefresh(d time.Duration) string {
	if d < minRefresh || d > maxRefresh {
		return fmt.Sprintf("must be from %s to %s", message.Duration(minRefresh), message.Duration(maxRefresh))
	}
	return ""
}

func badName(name string) string {
	switch {
	case len(name) > maxName:
		return fmt.Sprintf("is longer than %d bytes; shorten it", maxName)
	case !utf8.ValidString(name):
		return "is not UTF-8 text"
	case strings.ContainsFunc(name, unicode.IsControl):
		return "holds a control character; remove it"
	}
	return ""
}
