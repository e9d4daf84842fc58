// Package manifest finds SecretProviderClasses in YAML and JSON files and streams, for
// every command in the same way. It says what is wrong with them, each problem at its
// line and column in the file, also where the problem lies in the YAML that is text
// within the YAML; and it writes classes back with nothing else changed. It makes no
// remote call, and it shows no value.
//
// Start with Each and Classes, or with Checker.
package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/seal"
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
	// Severity is Warning for what has no effect, which the class's own provider ignores
	// as well, for a size that needs care and for a store that may be misspelt, and else
	// Error.
	Severity string `json:"severity"`
	// Message says what is wrong and what would be right.
	Message string `json:"message"`

	short string // the place and the message in one line
}

// The severities of findings.
const (
	Error   = "error"
	Warning = "warning"
)

// String is the finding as compilers print theirs, so that editors find the
// place: `web.yaml:12:7: object 3 (db/password): mode: ...`.
func (f Finding) String() string {
	severity := ""
	if f.Severity == Warning {
		severity = Warning + ": "
	}
	return fmt.Sprintf("%s:%d:%d: %s%s", f.File, f.Line, f.Column, severity, f.short)
}

// Short is the finding without its place in the file and its severity.
func (f Finding) Short() string { return f.short }

// Checker checks the classes of files. Its counts and findings grow with every file.
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
	// Strict makes an error of what has no effect.
	Strict bool
	// Now is when sealed values must not have expired.
	Now time.Time
	// Key says why nobody has the key of a sealed value, or nothing; nil if that is not
	// known.
	Key func(*seal.Sealed) string

	// Pods says of a workload whether its pods ask for secrets, why they would not be
	// admitted, and what of them has no effect; nil asks nobody.
	Pods func(Workload) (refused, warnings []string, wantsSecrets bool)

	// Findings are in the order of the files and of the lines in each.
	Findings []Finding
	// Classes counts the classes that were checked, OtherProviders those that
	// were passed over, and Unresolved the stores that only the operator's
	// configuration can tell of.
	Classes, OtherProviders, Unresolved int
	// Workloads counts the workloads whose pods ask for secrets.
	Workloads int
}

// file is a file that is being checked.
type file struct {
	*Checker
	name  string
	lines [][]rune
	seen  map[string]int // the line of each class, by namespace and name
	found []Finding
	texts map[*yaml.Node]*yaml.Node // the YAML within parameters, as it is looked at
}

// maxListed is how many problems of a class's parameters are listed in full: where each
// stands is sought in the file.
const maxListed = 100

// File checks every class of a file, whose text is UTF-8. Documents of other kinds
// are passed over. A class may be given once in a file: of two, one would overwrite the
// other where the file is applied.
func (c *Checker) File(name string, text []byte) {
	f := &file{Checker: c, name: name, lines: runes(text), seen: map[string]int{}, texts: map[*yaml.Node]*yaml.Node{}}
	documents, err := Documents(text)
	for _, class := range Classes(documents) {
		f.class(class)
	}
	if f.Pods != nil {
		for _, w := range Workloads(documents) {
			f.workload(w)
		}
	}
	var problems strict.Problems
	if errors.As(err, &problems) {
		f.report(about{}, problems)
	}
	f.done()
}

// NotText is the finding that a file is not text.
func NotText(name string, cause NotTextError) Finding {
	return Finding{File: name, Line: 1, Column: 1, Severity: Error, Message: cause.Error(), short: cause.Error()}
}

func (f *file) done() {
	slices.SortStableFunc(f.found, byPlace)
	f.Findings = append(f.Findings, f.found...)
}

func byPlace(a, b Finding) int {
	return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}

// about is what findings are about.
type about struct{ namespace, class string }

// report adds the problems of the document.
func (f *file) report(of about, problems strict.Problems) {
	for _, p := range problems {
		f.add(Finding{Line: p.Line, Column: p.Column, Namespace: of.namespace, Class: of.class,
			Field: p.Field, Severity: Error, Message: p.Text, short: p.String()})
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
			Field: p.Field, Severity: Error, Message: p.Text, short: oneLine(p.String())}
	}
	slices.SortStableFunc(findings, byPlace)
	return findings
}
