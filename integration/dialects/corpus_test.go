package dialects

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/cmd"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// corpusCase is one class of the compatibility corpus. README.md beside the cases says
// what each field is for.
type corpusCase struct {
	Name       string                `json:"name"`
	Source     string                `json:"source"`
	Parameters map[string]string     `json:"parameters"`
	Attributes map[string]string     `json:"attributes"`
	Pod        string                `json:"pod"`
	Config     map[string]any        `json:"config"`
	Files      map[string]corpusFile `json:"files"`
	Refused    []string              `json:"refused"`
	Warnings   []string              `json:"warnings"`
	Convert    string                `json:"convert"`
}

type corpusFile struct {
	Text    *string `json:"text"`
	Base64  []byte  `json:"base64"`
	Pattern string  `json:"pattern"`
	Mode    string  `json:"mode"`
}

// corpusDir is where the cases of a dialect are.
func corpusDir(dialect string) string { return filepath.Join("testdata", "corpus", dialect) }

// openCases is the file of cases that do not hold yet, which no test reads.
const openCases = "open.yaml"

// readCorpus reads the cases of a dialect, in which ${NAME} stands for a variable of the
// store.
func readCorpus(t *testing.T, dialect string, variables map[string]string) []corpusCase {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(corpusDir(dialect), "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var replacements []string
	for name, value := range variables {
		replacements = append(replacements, "${"+name+"}", value)
	}
	var all []corpusCase
	names := map[string]bool{}
	for _, path := range paths {
		if base := filepath.Base(path); base == "store.yaml" || base == openCases {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var cases []corpusCase
		if err := yaml.UnmarshalStrict([]byte(strings.NewReplacer(replacements...).Replace(string(text))), &cases); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, c := range cases {
			if wrong := c.wrong(); wrong != "" || names[c.Name] {
				t.Errorf("%s: case %q is not well-formed, or there twice: %s", path, c.Name, wrong)
			}
			names[c.Name] = true
		}
		all = append(all, cases...)
	}
	return all
}

var caseName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// wrong says what the case itself lacks.
func (c corpusCase) wrong() string {
	switch {
	case !caseName.MatchString(c.Name):
		return "its name must be lower-case words joined by hyphens"
	case !strings.HasPrefix(c.Source, "https://"):
		return "source must be the address of a public page"
	case len(c.Parameters) == 0:
		return "it has no parameters"
	case (len(c.Files) == 0) == (len(c.Refused) == 0):
		return "it must have either files or refused"
	}
	for name, file := range c.Files {
		ways := 0
		for _, given := range []bool{file.Text != nil, file.Base64 != nil, file.Pattern != ""} {
			if given {
				ways++
			}
		}
		if ways != 1 {
			return "file " + name + " must have one of text, base64, pattern"
		}
	}
	return ""
}

// class is the class as the driver sends it: with the attributes of the pod's volume over
// the parameters.
func (c corpusCase) class(dialect string) manifest {
	var m manifest
	m.Metadata.Name, m.Spec.Provider = c.Name, dialect
	m.Spec.Parameters = maps.Clone(c.Parameters)
	maps.Copy(m.Spec.Parameters, c.Attributes)
	return m
}

// mounter is a service account that mounts: the case's, or shop/web.
func (c corpusCase) mounter() (namespace, account string) {
	if c.Pod == "" {
		return "shop", "web"
	}
	namespace, account, _ = strings.Cut(c.Pod, "/")
	return namespace, account
}

// text is the manifest of a class.
func (m manifest) text(t *testing.T) string {
	t.Helper()
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass",
		"metadata": map[string]any{"name": m.Metadata.Name},
		"spec":     map[string]any{"provider": m.Spec.Provider, "parameters": m.Spec.Parameters},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestCorpus mounts every class of the corpus, and what convert makes of it.
func TestCorpus(t *testing.T) {
	for name, d := range corpusDialects() {
		t.Run(name, func(t *testing.T) {
			store := d.store(t)
			cases := readCorpus(t, name, store.variables)
			if len(cases) < d.least {
				t.Errorf("there are %d cases, want at least %d", len(cases), d.least)
			}
			nodes := map[string]*node{}
			for _, c := range cases {
				config := configured(t, store.config, c.Config)
				if nodes[config] == nil {
					nodes[config] = newNode(t, "lanyard,"+name, config, store.issuer, store.audiences...)
				}
			}
			for _, c := range cases {
				n := nodes[configured(t, store.config, c.Config)]
				t.Run(c.Name, func(t *testing.T) {
					t.Parallel()
					corpusRun{n, name, d.parse, c}.run(t)
				})
			}
		})
	}
}

// configured is the operator's configuration with the additions of a case: maps are
// merged, and null takes a field away.
func configured(t *testing.T, config string, additions map[string]any) string {
	t.Helper()
	var merged map[string]any
	unmarshal(t, config, &merged)
	mergeInto(merged, additions)
	text, err := yaml.Marshal(merged)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func mergeInto(into, additions map[string]any) {
	for field, value := range additions {
		below, isMap := value.(map[string]any)
		under, wasMap := into[field].(map[string]any)
		switch {
		case value == nil:
			delete(into, field)
		case isMap && wasMap:
			mergeInto(under, below)
		default:
			into[field] = value
		}
	}
}

// corpusRun is a case on its node.
type corpusRun struct {
	*node
	dialect string
	parse   spec.Dialect
	corpusCase
}

func (r corpusRun) run(t *testing.T) {
	class := r.class(r.dialect)
	namespace, account := r.mounter()
	problems, warnings := r.check(t, class)
	r.compareWarnings(t, warnings)
	p := r.pod(t, namespace, account)
	err := r.mount(t.Context(), p, class)
	words := nativeWords(class, r.parse)
	for _, text := range slices.Concat(problems, warnings) {
		words.reject(t, "check", text)
	}
	if len(r.Refused) > 0 {
		r.compareRefusal(t, problems, err)
		if err != nil {
			words.reject(t, "mount", err.Error())
		}
		return
	}
	if err != nil {
		t.Fatalf("mount: %v", err)
	}
	if len(problems) > 0 {
		t.Errorf("the class is mounted, and check refuses it: %q", problems)
	}
	r.compareCase(t, p)
	native, converted := r.converted(t, class)
	if r.Convert != "" {
		if converted == nil {
			t.Errorf("convert makes a native class of it, which the case says it cannot (%s)", r.Convert)
		}
		return
	}
	if converted != nil {
		t.Fatalf("convert: %v", converted)
	}
	p = r.pod(t, namespace, account)
	if err := r.mount(t.Context(), p, native); err != nil {
		t.Fatalf("mount of the native class: %v\n%s", err, native.text(t))
	}
	r.compareCase(t, p)
}

// compareCase compares a volume with the case's files.
func (r corpusRun) compareCase(t *testing.T, p pod) {
	t.Helper()
	want := map[string][]byte{}
	expect := expectations{Modes: map[string]string{}, Patterns: map[string]string{}}
	for name, file := range r.Files {
		switch {
		case file.Text != nil:
			want[name] = []byte(*file.Text)
		case file.Base64 != nil:
			want[name] = file.Base64
		default:
			expect.Patterns[name] = file.Pattern
		}
		expect.Modes[name] = file.Mode
	}
	compareFiles(t, p, want, expect)
}

// check returns the lines that `lanyard check` prints of the class under the node's
// configuration, each without its place in the file.
func (r corpusRun) check(t *testing.T, class manifest) (problems, warnings []string) {
	t.Helper()
	var out, errs strings.Builder
	code := cmd.Execute([]string{"check", "--config", r.provider.ConfigFile, "-"}, strings.NewReader(class.text(t)), &out, &errs)
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		if at := checkPlace.FindStringIndex(line); at != nil {
			line = line[at[1]:]
		}
		if warning, ok := strings.CutPrefix(line, "warning: "); ok {
			warnings = append(warnings, warning)
		} else {
			problems = append(problems, line)
		}
	}
	if wantCode := min(len(problems), 1); code != wantCode {
		t.Errorf("check ends with %d and prints %s%s", code, &out, &errs)
	}
	return problems, warnings
}

var checkPlace = regexp.MustCompile(`^\S+:[0-9]+:[0-9]+: `)

// compareWarnings holds each expected text against one warning of its own.
func (r corpusRun) compareWarnings(t *testing.T, warnings []string) {
	t.Helper()
	left := slices.Clone(warnings)
	for _, want := range r.Warnings {
		i := slices.IndexFunc(left, func(warning string) bool { return strings.Contains(warning, want) })
		if i < 0 {
			t.Errorf("check does not warn of %q but %q", want, warnings)
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	for _, warning := range left {
		t.Errorf("check warns unexpectedly: %s", warning)
	}
}

// compareRefusal compares the error of the mount with what the case expects. What check
// can know, it says as well.
func (r corpusRun) compareRefusal(t *testing.T, problems []string, err error) {
	t.Helper()
	if err == nil {
		t.Error("the class is mounted")
		return
	}
	for _, want := range r.Refused {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error of the mount: %v", want, err)
		}
	}
	if byClass := strings.Contains(err.Error(), "the SecretProviderClass cannot be used"); byClass != (len(problems) > 0) {
		t.Errorf("check finds %q, and the mount ends with %v", problems, err)
	}
}

// converted is the class that `lanyard convert` makes.
func (r corpusRun) converted(t *testing.T, class manifest) (native manifest, err error) {
	t.Helper()
	var out, errs strings.Builder
	if code := cmd.Execute([]string{"convert", "--config", r.provider.ConfigFile, "-"}, strings.NewReader(class.text(t)), &out, &errs); code != 0 {
		return native, fmt.Errorf("it ends with %d: %s", code, &errs)
	}
	unmarshal(t, out.String(), &native)
	return native, nil
}
