package cmd

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/lanyardhq/lanyard/provider/config"
)

// sources are the Go files of the program by their path, without tests.
func sources(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	root := os.DirFS("..")
	for _, room := range []string{"cmd", "provider", "server", "internal"} {
		err := fs.WalkDir(root, room, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			data, err := fs.ReadFile(root, path)
			found[path] = string(data)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

var (
	glossaryTerm   = regexp.MustCompile(`(?m)^- \*\*([^*]+)\*\*: `)
	glossaryMetric = regexp.MustCompile("(?m)^\\| `(lanyard_\\w+)` \\|")
	metricName     = regexp.MustCompile(`"(lanyard_\w+)"`)
)

// TestTheGlossaryDefinesWordsInUse holds each term to the code and the other
// pages, and each to one definition.
func TestTheGlossaryDefinesWordsInUse(t *testing.T) {
	t.Parallel()
	all := pages(t)
	glossary := all["docs/glossary.md"]
	delete(all, "docs/glossary.md")
	texts := slices.Concat(slices.Collect(maps.Values(all)), slices.Collect(maps.Values(sources(t))))
	text := strings.ToLower(strings.Join(strings.Fields(strings.Join(texts, "\n")), " "))
	seen := map[string]bool{}
	for _, match := range glossaryTerm.FindAllStringSubmatch(glossary, -1) {
		term := match[1]
		if seen[term] {
			t.Errorf("%s is defined twice", term)
		}
		seen[term] = true
		if !regexp.MustCompile(`\b` + regexp.QuoteMeta(strings.ToLower(term)) + `s?\b`).MatchString(text) {
			t.Errorf("neither the code nor another page uses %q", term)
		}
	}
	if len(seen) < 30 {
		t.Errorf("only %d terms were found", len(seen))
	}
}

// TestTheGlossaryExplainsEveryMetric compares the table with the names that the
// code registers.
func TestTheGlossaryExplainsEveryMetric(t *testing.T) {
	var registered []string
	for _, text := range sources(t) {
		for _, match := range metricName.FindAllStringSubmatch(text, -1) {
			if name := match[1]; strings.Contains(text, `Metrics: "`+name+`"`) {
				// The prefix of a reload.File, whose metrics have these suffixes.
				registered = append(registered, name+"_last_reload_successful", name+"_last_reload_success_timestamp_seconds")
			} else if !strings.Contains(text, `// Metrics is how the names of its metrics begin: "`+name+`"`) {
				registered = append(registered, name)
			}
		}
	}
	slices.Sort(registered)
	registered = slices.Compact(registered)
	var explained []string
	for _, match := range glossaryMetric.FindAllStringSubmatch(pages(t)["docs/glossary.md"], -1) {
		explained = append(explained, match[1])
	}
	slices.Sort(explained)
	if len(registered) < 20 || !slices.Equal(registered, explained) {
		t.Errorf("the glossary explains\n%v\nand the code registers\n%v", explained, registered)
	}
}

// TestEveryFieldAndFlagIsExplained holds fields to a comment and flags to a
// usage text.
func TestEveryFieldAndFlagIsExplained(t *testing.T) {
	for _, field := range config.Fields() {
		if field.Doc == "" {
			t.Errorf("the field %q has no explanation", field.Path)
		}
	}
	for _, c := range commands(newRoot()) {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s has no explanation", c.CommandPath(), f.Name)
			}
		})
	}
}

var troubleshootingName = regexp.MustCompile(`see troubleshooting: ([a-z0-9-]+)\)`)

// TestErrorsNameHeadingsOfTroubleshooting compares the names in errors with the
// headings below "Explanations that errors name".
func TestErrorsNameHeadingsOfTroubleshooting(t *testing.T) {
	var named, explained []string
	for _, text := range sources(t) {
		for _, match := range troubleshootingName.FindAllStringSubmatch(text, -1) {
			named = append(named, match[1])
		}
	}
	_, below, _ := strings.Cut(pages(t)["docs/troubleshooting.md"], "\n## Explanations that errors name\n")
	for _, match := range heading.FindAllStringSubmatch(below, -1) {
		explained = append(explained, match[1])
	}
	slices.Sort(named)
	slices.Sort(explained)
	if named = slices.Compact(named); len(named) == 0 || !slices.Equal(named, explained) {
		t.Errorf("errors name the headings\n%v\nand docs/troubleshooting.md has\n%v", named, explained)
	}
}
