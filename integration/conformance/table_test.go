package conformance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// table is the points as README.md has them.
func table() string {
	var text strings.Builder
	text.WriteString("| | promise | why it matters | source |\n|---|---|---|---|\n")
	for _, point := range Points() {
		promise := point.Promise
		if point.Optional {
			promise += " (optional)"
		}
		fmt.Fprintf(&text, "| %s | %s | %s | `%s`: `%s` |\n", point.ID, promise, point.Why, point.Source.File, point.Source.Name)
	}
	return text.String()
}

func TestTableOfPointsIsThatOfTheCode(t *testing.T) {
	const begin, end = "make golden -->\n", "<!-- end of points -->"
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(data), begin)
	old, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatal("README.md has no place for the table")
	}
	switch {
	case old == table():
	case os.Getenv("LANYARD_UPDATE_GOLDEN") != "":
		if err := os.WriteFile("README.md", []byte(before+begin+table()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Error("README.md has another table of points; run make golden")
	}
}

func TestEachPointIsWhole(t *testing.T) {
	id := regexp.MustCompile(`^[A-Z]-\d\d$`)
	seen := map[string]bool{}
	for _, point := range Points() {
		if !id.MatchString(point.ID) || seen[point.ID] {
			t.Errorf("%s is no id of its own", point.ID)
		}
		seen[point.ID] = true
		if point.Promise == "" || point.Why == "" || point.check == nil || strings.HasSuffix(point.Promise, ".") {
			t.Errorf("%s lacks something", point.ID)
		}
	}
}

// A source that is not there would send people looking for nothing.
func TestSourcesAreInTheDriver(t *testing.T) {
	listed, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}} {{.Dir}}", "sigs.k8s.io/secrets-store-csi-driver").Output()
	if err != nil {
		t.Fatal(err)
	}
	version, dir, _ := strings.Cut(strings.TrimSpace(string(listed)), " ")
	if version != Driver {
		t.Errorf("the module is %s, and Driver says %s", version, Driver)
	}
	for _, point := range Points() {
		data, err := os.ReadFile(filepath.Join(dir, point.Source.File))
		if err != nil {
			t.Errorf("%s: %v", point.ID, err)
			continue
		}
		declared := regexp.MustCompile(`(?m)^(func (\([^)]*\) )?|const |message )` + point.Source.Name + `\b`)
		if !declared.Match(data) {
			t.Errorf("%s: %s declares no %s", point.ID, point.Source.File, point.Source.Name)
		}
	}
}

// Whoever runs the suite gets the driver and no provider with it.
func TestModuleRequiresNoProvider(t *testing.T) {
	data, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(data), "lanyardhq/"); n != 1 { // its own name
		t.Errorf("go.mod names modules of Lanyard %d times", n)
	}
}
