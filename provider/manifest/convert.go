package manifest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/dialect/lanyard"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// Converter rewrites classes of other dialects as native ones. It knows no
// dialect: what a dialect understood of a class (spec.Class) is written in
// the native syntax. Whether a class is right at all is Checker's to say,
// before.
type Converter struct {
	// Dialects are the providers whose classes are converted; the classes of
	// others, and native ones, stay as they are.
	Dialects map[string]spec.Dialect
	// Stores are the operator's, if Configured. What they say already, or say
	// to ignore, is left out of the class; without them it is not known which
	// stores the operator names, and a class that does not say where its store
	// is leaves that to the configuration.
	Stores     map[string]config.Store
	Configured bool
}

// Conversion is one class that was converted.
type Conversion struct {
	Namespace string `json:"namespace,omitempty"`
	Class     string `json:"class"`
	// From is the dialect that it was written in.
	From    string `json:"from"`
	Objects int    `json:"objects"`
	// Gains are what the native class can do that this one could not.
	Gains []string `json:"gains"`
	// LeftOut are the settings that the native class has not, each with the
	// reason.
	LeftOut []string `json:"leftOut"`
}

// File returns a file, whose text is UTF-8, with its classes converted. Only the class's provider
// and parameters change; everything else keeps its place, comments and blank
// lines included. Comments on parameters and on objects go along. The error
// names what cannot be converted, all of it.
func (c *Converter) File(name string, text []byte) ([]byte, []Conversion, error) {
	edits, conversions, err := c.edits(name, string(text))
	if err != nil || len(edits) == 0 {
		return text, nil, err
	}
	lines := strings.Split(string(text), "\n")
	if lines[len(lines)-1] != "" {
		lines = append(lines, "") // the block of a parameter ends with its line
	}
	for _, e := range slices.Backward(edits) {
		if e.parameters != nil && strings.HasSuffix(lines[e.first], "\r") {
			for i := range e.lines {
				e.lines[i] += "\r"
			}
		}
		lines = slices.Replace(lines, e.first, e.after, e.lines...)
	}
	converted := strings.Join(lines, "\n")
	if err := sameAs(name, converted, edits); err != nil {
		return text, nil, err
	}
	return []byte(converted), conversions, nil
}

// edit replaces lines, counted from zero, by others.
type edit struct {
	first, after int // the first line, and the one after the last
	lines        []string
	class        string
	parameters   map[string]string // what the new lines say; nil for the provider's
}

func (c *Converter) edits(name, text string) ([]edit, []Conversion, error) {
	var (
		edits       []edit
		conversions []Conversion
		failed      []error
	)
	lines := strings.Split(text, "\n")
	documents, err := Documents([]byte(text))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, class := range Classes(documents) {
		changed, conversion, err := c.class(class.Root, lines)
		switch {
		case err != nil:
			failed = append(failed, fmt.Errorf("%s:%d: class %s: %w", name, class.Root.Line, printableName(class.Name()), err))
		case conversion != nil:
			edits, conversions = append(edits, changed...), append(conversions, *conversion)
		}
	}
	slices.SortFunc(edits, func(a, b edit) int { return a.first - b.first })
	return edits, conversions, errors.Join(failed...)
}

// class returns the edits of one class; none and no Conversion if it is not to
// be converted.
func (c *Converter) class(root *yaml.Node, lines []string) ([]edit, *Conversion, error) {
	name := scalarAt(root, "spec.provider")
	dialect, known := c.Dialects[name]
	if !known || name == lanyard.Name {
		return nil, nil, nil
	}
	var d document
	if err := strict.Decode(root, &d); err != nil {
		return nil, nil, err
	}
	class, err := dialect(d.Spec.parameters())
	if err != nil {
		return nil, nil, err
	}
	conversion := &Conversion{
		Namespace: string(d.Metadata.Namespace), Class: string(d.Metadata.Name), From: name,
		Objects: len(class.Objects), Gains: gains(name, class), LeftOut: []string{},
	}
	native := c.native(class, conversion)
	remarks := remarksOf(root, class)
	written, err := lanyard.Write(native, remarks.objects)
	if err != nil {
		return nil, nil, err
	}
	edits, err := rewrite(root, lines, written, remarks.parameters)
	for i := range edits {
		edits[i].class = conversion.Class
	}
	return edits, conversion, err
}

// native is the class with the settings of its stores that a native class has
// to say, and without what has no effect.
func (c *Converter) native(class *spec.Class, conversion *Conversion) *spec.Class {
	native := *class
	native.Stores = map[string]map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(class.Stores)) {
		settings := class.Stores[name]
		of, _ := spec.Base(name, settings)
		operator, named := c.Stores[of]
		switch {
		case named:
			settings = operator.AddedByClass(settings)
			for _, setting := range missing(class.Stores[name], settings, "") {
				conversion.LeftOut = append(conversion.LeftOut, fmt.Sprintf("%s: the operator's configuration of store %s says or ignores it", class.Words.Of("stores."+name+"."+setting), of))
			}
		case c.Configured, settings["type"] != nil:
			if settings = class.StoreSettings(name); c.Configured {
				delete(settings, spec.BaseField) // the operator names none
			}
		}
		if len(settings) > 0 {
			native.Stores[name] = settings
		}
	}
	for _, problem := range class.Idle {
		conversion.LeftOut = append(conversion.LeftOut, problem.String())
	}
	return &native
}

// missing are the dotted names of the settings that were there before.
func missing(before, after map[string]any, prefix string) []string {
	var gone []string
	for _, name := range slices.Sorted(maps.Keys(before)) {
		now, there := after[name]
		was, isMap := before[name].(map[string]any)
		below, _ := now.(map[string]any)
		switch {
		case isMap:
			gone = append(gone, missing(was, below, prefix+name+".")...)
		case !there && prefix+name != "type":
			gone = append(gone, prefix+name)
		}
	}
	return gone
}

// sameAs makes sure that the text says what it was meant to.
func sameAs(name, text string, edits []edit) error {
	want := map[string][]map[string]string{}
	for _, e := range edits {
		if e.parameters != nil {
			want[e.class] = append(want[e.class], e.parameters)
		}
	}
	documents, err := Documents([]byte(text))
	for _, class := range Classes(documents) {
		if class.Provider() != lanyard.Name {
			continue
		}
		got, err := class.Parameters()
		if err != nil {
			continue
		}
		of := class.Name()
		want[of] = slices.DeleteFunc(want[of], func(w map[string]string) bool { return maps.Equal(w, got) })
		if len(want[of]) == 0 {
			delete(want, of)
		}
	}
	if err != nil || len(want) > 0 {
		return fmt.Errorf("%s: cannot be edited as it is laid out; write spec and parameters in YAML's block style, one field a line", name)
	}
	return nil
}

func printableName(name string) string {
	if name == "" {
		return "without a name"
	}
	return oneLine(name)
}
