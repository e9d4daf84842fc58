// Package template executes a Go template over the values of objects, bounded in
// steps and memory whatever the template and the values are.
//
// Start with Parse; functions.go has what a template may call.
package template

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	gotemplate "text/template"
	"text/template/parse"

	"github.com/lanyardhq/lanyard/provider/render"
)

const (
	// maxTemplate is the maximum size of a template's text in bytes.
	maxTemplate = 64 << 10
	// What executing a template may cost; see budget.
	templateSteps = 200_000
	templateBytes = 16 << 20
)

// Template is a parsed template. It is safe for concurrent use.
type Template struct {
	tree  *parse.Tree
	calls []string // the functions that the text uses
	names []string
	paths []string // names with what follows them after a dot
}

// Parse parses the text of a text/template. It knows the functions of
// docs/templates.md and no others; define, template and block are refused,
// because a template that calls itself cannot be bounded. The error says where
// the text goes wrong.
func Parse(text string) (*Template, error) {
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("the template has %d bytes; at most %d are allowed", len(text), maxTemplate)
	}
	trees, err := parse.Parse(templateName, text, "", "", parsedNames())
	if err != nil {
		return nil, parseError(err, text)
	}
	tree := trees[templateName]
	if len(trees) != 1 || tree == nil {
		return nil, errors.New("define and block are not supported; write the text where it is used")
	}
	r := rewriter{tree: tree, calls: map[string]bool{}, names: map[string]bool{}, paths: map[string]bool{}}
	if err := r.rewrite(); err != nil {
		return nil, err
	}
	return &Template{tree: tree, calls: slices.Sorted(maps.Keys(r.calls)), names: slices.Sorted(maps.Keys(r.names)), paths: slices.Sorted(maps.Keys(r.paths))}, nil
}

// Names returns the names of the objects that the text refers to as a field of
// the top, as in {{ .user }} and {{ index . "db/password" }}, sorted. A name
// that is behind an if may be missing when the template is executed.
func (t *Template) Names() []string { return t.names }

// Misnamed returns the name that the template means by one that no object has: in
// {{ .tls.crt }} that of the object tls.crt, which has to be written
// {{ index . "tls.crt" }}. It is empty if no known name fits.
func (t *Template) Misnamed(name string, known func(string) bool) string {
	for _, path := range t.paths {
		for path != name && strings.HasPrefix(path, name+".") {
			if known(path) {
				return path
			}
			path = path[:strings.LastIndexByte(path, '.')]
		}
	}
	return ""
}

// Execute returns the template's text over the values of objects, by name. It
// is an error to use a name that values lacks, to print nothing or a list, and
// to give a function what it cannot take: a template yields the whole file or
// none. The error holds no part of a value, and wraps render.ErrTooLarge if a bound
// was passed.
func (t *Template) Execute(values map[string]string, hooks render.Hooks) ([]byte, error) {
	top := make(map[string]any, len(values))
	for name, value := range values {
		top[name] = value
	}
	x := &execution{Budget: render.Budget{Steps: templateSteps, Bytes: templateBytes, Hooks: render.Hooks{Pause: hooks.Pause}}, reserve: hooks.Reserve}
	executable, err := gotemplate.New(templateName).Option("missingkey=error").Funcs(x.functions(t.calls)).AddParseTree(templateName, t.tree)
	if err != nil {
		return nil, errors.New("the template cannot be executed")
	}
	out := output{reserve: hooks.Reserve}
	if err := executable.Execute(&out, top); err != nil {
		return nil, executeError(err, t.names, values)
	}
	return out.Bytes(), nil
}

// output takes the template's text up to render.MaxBytes.
type output struct {
	bytes.Buffer

	reserve  func(bytes int64) error // nil if nothing is to be reserved
	reserved int
}

func (o *output) Write(p []byte) (int, error) {
	length := o.Len() + len(p)
	if length > render.MaxBytes {
		return 0, render.TooLong(render.MaxBytes)
	}
	if o.reserve != nil && length > o.reserved {
		// As a buffer grows.
		more := max(2*length, minOutput) - o.reserved
		o.reserved += more
		if err := o.reserve(int64(more)); err != nil {
			return 0, err
		}
	}
	return o.Buffer.Write(p)
}

// minOutput is what is reserved for the text of a template at least.
const minOutput = 4 << 10
