package defects

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/integration/checkout"
)

// What docs/testing.md says of scenarios and defects is still so.
func TestPageNamesScenariosThatThereAreAndEachDefect(t *testing.T) {
	path, err := checkout.Path("docs", "testing.md")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, defect := range All() {
		row := regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(defect.Name) + "` \\|.*$").FindString(string(page))
		for _, scenario := range strings.FieldsFunc(strings.Trim(defect.Tests, "^$()"), func(r rune) bool { return r == '|' }) {
			if !strings.Contains(row, "`"+scenario+"`") {
				t.Errorf("the page does not say that %s notices %s", scenario, defect.Name)
			}
			if !strings.Contains(row, "`"+defect.Package+"`") && defect.Package != "" {
				t.Errorf("the page does not say that a test in %s notices %s", defect.Package, defect.Name)
			}
		}
	}
	var files []string
	for _, folder := range []string{"../*", "../../*", "../../../cmd"} {
		found, err := filepath.Glob(folder + "/*_test.go")
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	for _, defect := range All() {
		if defect.Package == "" {
			continue
		}
		folder, err := checkout.Path(strings.Split(defect.Package, "/")...)
		if err != nil {
			t.Fatal(err)
		}
		own, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, own...)
	}
	var tests strings.Builder
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(content)
	}
	for _, name := range regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(string(page), -1) {
		if !strings.Contains(tests.String(), "func "+name[1]+"(t ") {
			t.Errorf("the page tells of the scenario %s, which there is not", name[1])
		}
	}
}
