package deployment

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/cmd"
	"github.com/lanyardhq/lanyard/provider/config"
)

// TestThePagesExamplesWork renders the values of the pages, checks their
// classes as a node would with the values before them, and reads their pods.
func TestThePagesExamplesWork(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```")
	count := map[string]int{}
	for _, page := range []string{"docs/install.md", "docs/quickstart.md"} {
		var with string // the configuration in the values before
		for _, block := range blocks.FindAllStringSubmatch(string(source(t, page)), -1) {
			var about struct{ Kind string }
			decode(t, block[1], &about)
			count[about.Kind]++
			switch about.Kind {
			case "":
				with = configFile(t, block[1])
				if _, err := config.Load(with); err != nil {
					t.Errorf("%s: %v", page, err)
				}
			case "SecretProviderClass":
				checkClass(t, page, with, block[1])
			case "Pod":
				if err := yaml.UnmarshalStrict([]byte(block[1]), &core.Pod{}); err != nil {
					t.Errorf("%s: %v", page, err)
				}
			}
		}
	}
	if count[""] != 4 || count["SecretProviderClass"] != 2 || count["Pod"] != 1 {
		t.Errorf("the pages have these examples: %v", count)
	}
}

// checkClass runs the real check. What a page leaves to be sealed is no mistake
// but in the sealed value.
func checkClass(t *testing.T, page, configuration, class string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "class.yaml")
	if err := os.WriteFile(path, []byte(class), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"check", path}
	if !strings.Contains(class, "to be filled in") {
		args = append(args, "--config", configuration)
	}
	var out strings.Builder
	code := cmd.Execute(args, strings.NewReader(""), &out, io.Discard)
	for line := range strings.Lines(out.String()) {
		if strings.Contains(line, "class.yaml:") && !strings.Contains(line, "sealed: malformed sealed value") {
			t.Errorf("%s: check ends with %d: %s", page, code, line)
		}
	}
	if code > 1 {
		t.Errorf("%s: check ends with %d", page, code)
	}
}

// TestThePageListsTheExceptions holds docs/install.md against the checks that
// the pod does not pass.
func TestThePageListsTheExceptions(t *testing.T) {
	page := string(source(t, "docs/install.md"))
	for check := range exceptions {
		if !strings.Contains(page, "`"+string(check)+"`") {
			t.Errorf("docs/install.md does not name the check %s", check)
		}
	}
}

// TestThePageNamesValuesThatThereAre follows the first column of the tables.
func TestThePageNamesValuesThatThereAre(t *testing.T) {
	known := map[string]bool{}
	for _, name := range properties(schema(t), "") {
		known[name] = true
	}
	page := string(source(t, "docs/install.md"))
	_, page, _ = strings.Cut(page, "| value | |")
	page, _, _ = strings.Cut(page, "\n\n")
	names := regexp.MustCompile("`([A-Za-z.]+)`")
	found := 0
	for line := range strings.Lines(page) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		for _, name := range names.FindAllStringSubmatch(cells[1], -1) {
			found++
			if !known[name[1]] {
				t.Errorf("docs/install.md names the value %s, which the schema does not have", name[1])
			}
		}
	}
	if found < 15 {
		t.Errorf("only %d values are named", found)
	}
}
