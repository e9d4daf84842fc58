package manifest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// document is a SecretProviderClass as the API server takes it: the CRD in the
// driver's deploy/secrets-store.csi.x-k8s.io_secretproviderclasses.yaml.
type document struct {
	APIVersion text      `yaml:"apiVersion"`
	Kind       text      `yaml:"kind"`
	Metadata   metadata  `yaml:"metadata"`
	Spec       classSpec `yaml:"spec"`
	Status     any       `yaml:"status"`
}

type metadata struct {
	Name      text           `yaml:"name"`
	Namespace text           `yaml:"namespace"`
	Others    map[string]any `yaml:",inline"`
}

type classSpec struct {
	Provider      text            `yaml:"provider"`
	Parameters    map[string]text `yaml:"parameters"`
	SecretObjects []secretObject  `yaml:"secretObjects"`
}

func (s classSpec) parameters() map[string]string {
	parameters := make(map[string]string, len(s.Parameters))
	for parameter, value := range s.Parameters {
		parameters[parameter] = string(value)
	}
	return parameters
}

// text is text to every reader of YAML: what an older one, such as kubectl's,
// takes for a number, true or false has to be quoted.
type text string

// UnmarshalYAML implements yaml.Unmarshaler.
func (t *text) UnmarshalYAML(node *yaml.Node) error {
	plain := node.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
	older := []string{"y", "yes", "n", "no", "on", "off"}
	switch {
	case node.Kind != yaml.ScalarNode:
		return errors.New("must be text; if it is meant to be YAML, begin it with |")
	case node.Tag == "!!null":
		return errors.New("has no value; give one, or remove the field")
	case node.Tag != "!!str" || plain && slices.Contains(older, strings.ToLower(node.Value)):
		return errors.New("must be text; put it in quotes")
	}
	*t = text(node.Value)
	return nil
}

// class checks one class.
func (f *file) class(class Class) {
	root := class.Root
	var d document
	problems := strict.Decode(root, &d)
	of := about{namespace: string(d.Metadata.Namespace), class: string(d.Metadata.Name)}
	name := string(d.Spec.Provider)
	if _, known := f.Dialects[name]; !known && !f.unknownProvider(of, root, name) {
		f.OtherProviders++
		return
	}
	f.Classes++
	f.report(of, problems)
	f.envelope(of, class)
	if wrong, severity := class.CheckSize(); wrong != "" {
		f.parameters(of, root, severity, spec.Problems{{Text: wrong}})
	}

	// What is missing may stand under a name that was not understood.
	understood := !slices.ContainsFunc(problems, func(p strict.Problem) bool {
		return p.Field == "spec" || strings.HasPrefix(p.Field, "spec.parameters") || len(d.Spec.Parameters) == 0 && strings.HasPrefix(p.Field, "spec.")
	})
	dialect, known := f.Dialects[name]
	if !known || !understood {
		return
	}
	parameters := d.Spec.parameters()
	said, err := dialect(parameters)
	judged := f.judge(name, parameters, said)
	var ignored spec.Problems
	if said != nil && !judged.OfAnother() {
		ignored = said.Idle
	}
	severity := Warning
	if f.Strict {
		severity = Error
	}
	// What has no effect may be told beside a problem, and is none itself.
	f.parameters(of, root, Error, slices.DeleteFunc(slices.Clone(judged), func(p spec.Problem) bool { return slices.Contains(ignored, p) }))
	f.parameters(of, root, severity, ignored)
	if said != nil && !f.Configured {
		f.parameters(of, root, Warning, misspeltStores(said))
	}
	if err == nil {
		f.sealed(of, root, said, judged)
		f.secretObjects(of, root, d.Spec.SecretObjects, said)
	}
}

// unknownProvider reports a provider that is missing or misspelt. Any other is
// somebody else's.
func (f *file) unknownProvider(of about, root *yaml.Node, name string) bool {
	known := slices.Sorted(maps.Keys(f.Dialects))
	switch {
	case name == "":
		f.at(of, root, "spec.provider", "missing; name one of "+strings.Join(known, ", "))
	case strict.Nearest(name, known) != "":
		f.at(of, root, "spec.provider", strict.Unknown("provider", name, known))
	default:
		return false
	}
	return true
}

// envelope checks what is around the parameters.
func (f *file) envelope(of about, class Class) {
	root := class.Root
	f.report(of, class.checkVersion())
	if of.class == "" {
		f.at(of, root, "metadata.name", "missing; give the class a name for pods to use")
		return
	}
	key := of.namespace + "/" + of.class
	if before, twice := f.seen[key]; twice {
		f.at(of, root, "metadata.name", fmt.Sprintf("the class is given twice, also at %s:%d; one would overwrite the other", f.name, before))
		return
	}
	at, _, _ := strict.Find(root, "metadata.name")
	f.seen[key] = at.Line
}

// at reports a problem with a field of the document.
func (f *file) at(of about, root *yaml.Node, field, message string) {
	at, _, _ := strict.Find(root, field)
	f.report(of, strict.Problems{{Line: at.Line, Column: at.Column, Field: field, Text: message}})
}

// judge returns everything that is wrong with a class's parameters.
func (f *file) judge(name string, parameters map[string]string, class *spec.Class) spec.Problems {
	var problems spec.Problems
	if err := f.Check(name, parameters); err != nil && !errors.As(err, &problems) {
		problems = spec.Problems{{Text: err.Error()}}
	}
	if f.Configured || class == nil {
		return problems
	}
	return f.leaveToConfiguration(problems, class)
}

// leaveToConfiguration drops what was said of stores that the class uses and
// does not define by itself.
func (f *file) leaveToConfiguration(problems spec.Problems, class *spec.Class) spec.Problems {
	unresolved := map[string]bool{}
	for _, o := range class.Objects {
		if o.Key != "" && class.Stores[o.Store] == nil {
			unresolved[o.Store] = true
		}
	}
	for name, settings := range class.Stores {
		if settings["type"] == nil {
			unresolved[name] = true
		}
	}
	f.Unresolved += len(unresolved)
	return slices.DeleteFunc(problems, func(p spec.Problem) bool {
		return p.Store != "" && (unresolved[p.Store] || p.Store == sealedStore && class.Stores[sealedStore] == nil)
	})
}

// misspeltStores are the objects whose store may be the operator's, and is likely to be
// meant as one that the class defines.
func misspeltStores(class *spec.Class) spec.Problems {
	var defined []string
	for _, name := range slices.Sorted(maps.Keys(class.Stores)) {
		if class.Stores[name]["type"] != nil {
			defined = append(defined, name)
		}
	}
	var problems spec.Problems
	for i, o := range class.Objects {
		if o.Key == "" || class.Stores[o.Store] != nil || o.Store == sealedStore {
			continue
		}
		if near := strict.Nearest(o.Store, defined); near != "" {
			problems = append(problems, spec.Problem{
				Field: fmt.Sprintf("objects[%d].store", i), Store: o.Store, Object: i + 1, ID: o.ID(),
				Text: fmt.Sprintf("the class defines no store %s; did you mean %s? If it is one of the operator's, check with --config", message.Printable(o.Store), message.Printable(near)),
			})
		}
	}
	return problems
}

// sealedStore is what the engine calls the store that opens sealed values.
const sealedStore = "sealed"

// parameters reports problems with the class's parameters.
func (f *file) parameters(of about, root *yaml.Node, severity string, problems spec.Problems) {
	if more := len(problems) - maxListed; more > 0 {
		problems = append(slices.Clip(problems[:maxListed]), spec.Problem{Text: fmt.Sprintf("%d more problems are not listed; fix the listed ones first", more)})
	}
	for _, p := range problems {
		finding := Finding{
			Namespace: of.namespace, Class: of.class, Object: p.Object, ID: p.ID,
			Field: strings.TrimSuffix("spec.parameters."+p.Field, "."), Severity: severity, Message: p.Text,
		}
		finding.Line, finding.Column = f.locate(root, p)
		p.Line = 0 // of the parameter's text, where the finding tells that of the file
		finding.short = p.String()
		f.add(finding)
	}
}

// parsed is the YAML of a parameter's text, nil if it is none. It is parsed once.
func (f *file) parsed(text *yaml.Node) *yaml.Node {
	root, ok := f.texts[text]
	if !ok {
		if inner, err := strict.Next(yaml.NewDecoder(strings.NewReader(text.Value))); err == nil && len(inner.Content) == 1 {
			root = inner.Content[0]
		}
		f.texts[text] = root
	}
	return root
}

// locate returns where in the file a problem with a parameter stands.
func (f *file) locate(root *yaml.Node, p spec.Problem) (line, column int) {
	const parameters = "spec.parameters"
	at, value, _ := strict.Find(root, parameters)
	if value.Kind != yaml.MappingNode || p.Field == "" {
		return at.Line, at.Column
	}
	parameter, rest := p.Field, ""
	if i := strings.IndexAny(p.Field, ".["); i > 0 {
		parameter, rest = p.Field[:i], strings.TrimPrefix(p.Field[i:], ".")
	}
	key, text, ok := strict.Find(value, parameter)
	if !ok {
		return at.Line, at.Column
	}
	if p.Line > 0 {
		return f.inside(text, p.Line, max(p.Column, 1))
	}
	inner := f.parsed(text)
	if rest == "" || inner == nil {
		return key.Line, key.Column
	}
	there, _, _ := strict.Find(inner, rest)
	return f.inside(text, there.Line, there.Column)
}
