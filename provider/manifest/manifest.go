// Package manifest finds SecretProviderClasses in YAML and JSON files and says
// what is wrong with them, each problem at its line and column in the file: also
// where the problem lies in the YAML that is text within the YAML. It makes no
// remote call, and it shows no value.
//
// Start with Checker.
package manifest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// Finding is one thing that is wrong with a file.
type Finding struct {
	// File is the name that the file was given, Line and Column where the
	// problem stands, counted from one; Column counts characters.
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	// Namespace and Class are the class's, as the file has them.
	Namespace string `json:"namespace,omitempty"`
	Class     string `json:"class,omitempty"`
	// Object is the place of the object in the class counted from one, or zero
	// if the problem is not of one object; ID is the object's.
	Object int    `json:"object,omitempty"`
	ID     string `json:"id,omitempty"`
	// Field is the dotted place in the file, such as
	// "spec.parameters.objects[2].mode".
	Field string `json:"field,omitempty"`
	// Message says what is wrong and what would be right.
	Message string `json:"message"`

	short string // the place and the message in one line
}

// String is the finding as compilers print theirs, so that editors find the
// place: `web.yaml:12:7: object 3 (db/password): mode: ...`.
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.short)
}

// Checker checks files, and what classes are to each other across them. Its
// counts and findings grow with every file.
type Checker struct {
	// Dialects are the providers whose classes are checked; the classes of
	// others are passed over.
	Dialects map[string]spec.Dialect
	// Check says whether a class can be served; its error is a
	// spec.Problems. It is the engine's method of that name.
	Check func(dialect string, parameters map[string]string) error
	// Configured says that Check knows the operator's configuration. If it
	// does not, nothing is said of stores that only the configuration defines.
	Configured bool
	// Cluster is the name in the operator's configuration.
	Cluster string
	// Now is when sealed values must not have expired.
	Now time.Time

	// Findings are in the order of the files and of the lines in each.
	Findings []Finding
	// Classes counts the classes that were checked, OtherProviders those that
	// were passed over, and Unresolved the stores that only the operator's
	// configuration can tell of.
	Classes, OtherProviders, Unresolved int

	seen map[string]string // where a class was given, by namespace and name
}

// file is a file that is being checked.
type file struct {
	*Checker
	name  string
	lines [][]rune
	found []Finding
}

// File checks every class among the documents of one file. Documents of other
// kinds are passed over.
func (c *Checker) File(name string, data []byte) {
	f := &file{Checker: c, name: name, lines: runes(data)}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		document, err := strict.Next(decoder)
		var problems strict.Problems
		switch {
		case errors.Is(err, io.EOF):
			f.done()
			return
		case errors.As(err, &problems):
			f.report(about{}, "", problems)
			f.done()
			return
		case len(document.Content) == 1:
			f.object(document.Content[0])
		}
	}
}

func (f *file) done() {
	slices.SortStableFunc(f.found, byPlace)
	f.Findings = append(f.Findings, f.found...)
}

func byPlace(a, b Finding) int {
	return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}

const (
	kindClass = "SecretProviderClass"
	groupName = "secrets-store.csi.x-k8s.io"
)

// object checks a Kubernetes object, or each object of a list of them.
func (f *file) object(node *yaml.Node) {
	kind := scalarAt(node, "kind")
	switch {
	case kind == kindClass:
		group, _, versioned := strings.Cut(scalarAt(node, "apiVersion"), "/")
		if group == groupName || !versioned {
			f.class(node)
		}
	case strings.HasSuffix(kind, "List"):
		if _, items, ok := strict.Find(node, "items"); ok && items.Kind == yaml.SequenceNode {
			for _, item := range items.Content {
				f.object(item)
			}
		}
	}
}

// about is what findings are about.
type about struct{ namespace, class string }

// report adds the problems of a part of the document, whose field is prefix.
func (f *file) report(of about, prefix string, problems strict.Problems) {
	for _, p := range problems {
		field := p.Field
		if prefix != "" {
			field = strings.TrimSuffix(prefix+"."+field, ".")
		}
		p.Field = field
		f.add(Finding{Line: p.Line, Column: p.Column, Namespace: of.namespace, Class: of.class,
			Field: field, Message: p.Text, short: p.String()})
	}
}

func (f *file) add(finding Finding) {
	finding.File = f.name
	finding.short = oneLine(finding.short)
	// YAML knows more characters that end a line than editors do.
	finding.Line, finding.Column = min(max(finding.Line, 1), len(f.lines)), max(finding.Column, 1)
	f.found = append(f.found, finding)
}

// oneLine keeps what came from a file from breaking the line that it is in.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// Configuration turns what package config says of an operator's configuration
// file into findings.
func Configuration(name string, problems strict.Problems) []Finding {
	findings := make([]Finding, len(problems))
	for i, p := range problems {
		findings[i] = Finding{File: name, Line: max(p.Line, 1), Column: max(p.Column, 1),
			Field: p.Field, Message: p.Text, short: oneLine(p.String())}
	}
	slices.SortStableFunc(findings, byPlace)
	return findings
}
