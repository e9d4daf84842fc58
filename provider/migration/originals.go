// Package migration plans the way from one of the five CSI providers to Lanyard: from the
// objects that are installed it makes the chart's values, the steps, and what will differ.
// It makes no call and writes nothing.
//
// Start with Installation and Plan. What the providers read, and what becomes of each of
// their flags, variables, parameters and fields, is data: see Originals.
package migration

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// Original is one of the CSI providers whose classes Lanyard takes, at the version that it
// was compared with.
type Original struct {
	// Provider is the name that classes give, and of the socket.
	Provider string `yaml:"provider"`
	Title    string `yaml:"title"`
	Version  string `yaml:"version"`
	// Sources are the addresses where its flags and variables can be read.
	Sources []string `yaml:"sources"`
	// Images are names of which one is an element of the image's path.
	Images []string `yaml:"images"`
	Socket socket   `yaml:"socket"`
	// Includes names lists of shared.yaml that belong to the settings too.
	Includes []string  `yaml:"includes"`
	Settings []Setting `yaml:"settings"`
	// Parameters and Fields are those of classes and of their objects.
	Parameters []Word `yaml:"parameters"`
	Fields     []Word `yaml:"fields"`
	// FieldsOf names the original whose fields are those of this one too.
	FieldsOf string `yaml:"fieldsOf"`
}

// socket says how the original is told where its socket is: by a flag with the file, a
// flag with the directory, or a variable with the directory.
type socket struct {
	File      string `yaml:"file"`
	Directory string `yaml:"directory"`
	Variable  string `yaml:"variable"`
	Default   string `yaml:"default"`
}

// Setting is one thing that a flag or a variable of an original says.
type Setting struct {
	// Flags go before Environment where both are given. Several of one kind are
	// settings with one answer, or with First names of one setting, of which the first
	// that is given counts, as it does wherever there is a flag.
	Flags       []string `yaml:"flags"`
	Environment []string `yaml:"environment"`
	First       bool     `yaml:"first"`
	// Default is the value that changes nothing.
	Default string `yaml:"default"`
	// Answer says what becomes of a value: none (nothing has to be done), hand (somebody
	// has to), later (Lanyard cannot do it), or the translation of its name.
	Answer string `yaml:"answer"`
	// To is the place in the chart's values; a * stands for each store of the dialect.
	To string `yaml:"to"`
	// Here is the answer for people, in Markdown.
	Here string `yaml:"here"`
}

// Word is a parameter of a class or a field of an object.
type Word struct {
	Name string `yaml:"name"`
	Here string `yaml:"here"`
}

//go:embed originals/*.yaml
var files embed.FS

// Originals returns the five originals.
func Originals() []*Original { return slices.Clone(originals()) }

// originals are read when a plan is made: what no provider needs costs none of its memory.
var originals = sync.OnceValue(func() []*Original {
	return []*Original{load("vault"), load("openbao"), load("aws"), load("azure"), load("gcp")}
})

// gkeProvider is the name that classes of GKE's add-on give.
// https://cloud.google.com/secret-manager/docs/secret-manager-managed-csi-component
const gkeProvider = "gke"

// Plans says whether classes with a provider name are planned for.
func Plans(provider string) bool { return originalOf(provider) != nil }

// originalOf returns the original that answers to a provider name of classes.
func originalOf(provider string) *Original {
	if provider == gkeProvider {
		provider = "gcp"
	}
	for _, o := range originals() {
		if o.Provider == provider {
			return o
		}
	}
	return nil
}

func load(name string) *Original {
	o := &Original{}
	decodeFile(name, o)
	var shared map[string][]Setting
	decodeFile("shared", &shared)
	for _, list := range o.Includes {
		o.Settings = append(o.Settings, shared[list]...)
	}
	if o.FieldsOf != "" {
		o.Fields = load(o.FieldsOf).Fields
	}
	return o
}

func decodeFile(name string, target any) {
	file, err := files.Open("originals/" + name + ".yaml")
	if err != nil {
		panic(err) // the files are part of the program
	}
	defer file.Close() //nolint:errcheck // read only
	decoder := yaml.NewDecoder(file)
	decoder.KnownFields(true)
	if err := decoder.Decode(target); err != nil {
		panic(fmt.Sprintf("%s.yaml: %v", name, err))
	}
}

// Tables are the tables of a migration page, by the word in the comments around each.
func (o *Original) Tables() map[string]string {
	var settings strings.Builder
	settings.WriteString("| flag | environment | here |\n|---|---|---|\n")
	for _, s := range o.Settings {
		fmt.Fprintf(&settings, "|%s |%s | %s |\n", quoted(s.Flags, "-"), quoted(s.Environment, ""), s.Here)
	}
	return map[string]string{
		"settings":   settings.String(),
		"parameters": words("parameter", o.Parameters),
		"fields":     words("field", o.Fields),
	}
}

func words(title string, list []Word) string {
	var table strings.Builder
	fmt.Fprintf(&table, "| %s | here |\n|---|---|\n", title)
	for _, w := range list {
		fmt.Fprintf(&table, "| `%s` | %s |\n", w.Name, w.Here)
	}
	return table.String()
}

func quoted(names []string, prefix string) string {
	marked := ""
	for i, name := range names {
		if i > 0 {
			marked += ","
		}
		marked += " `" + prefix + name + "`"
	}
	return marked
}

// answers are those that need no translation.
const (
	answerNone  = "none"
	answerHand  = "hand"
	answerLater = "later"
)
