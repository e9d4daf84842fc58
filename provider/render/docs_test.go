package render

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The page lists what there is, neither more nor less.
func TestThePageListsTheFunctions(t *testing.T) {
	page, err := os.ReadFile("../../docs/templates.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := func(section string) []string {
		_, rest, found := strings.Cut(string(page), "<!-- "+section+" functions -->")
		list, _, closed := strings.Cut(rest, "<!-- end -->")
		if !found || !closed {
			t.Fatalf("the page has no list of %s functions", section)
		}
		var names []string
		for line := range strings.Lines(list) {
			// In a table the functions are in the first column.
			if cells := strings.Split(line, "|"); len(cells) > 1 {
				line = cells[1]
			}
			for _, name := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(line, -1) {
				names = append(names, name[1])
			}
		}
		slices.Sort(names)
		return names
	}
	if got, want := listed("property"), sortedKeys(jmesFunctions); !slices.Equal(got, want) {
		t.Errorf("the page lists the property functions\n%v, there are\n%v", got, want)
	}
	if got, want := listed("template"), sortedKeys(templateFunctions()); !slices.Equal(got, want) {
		t.Errorf("the page lists the template functions\n%v, there are\n%v", got, want)
	}
}

// Every function is there to be called: Sprig may drop one.
func TestEveryFunctionIsKnown(t *testing.T) {
	for name, f := range templateFunctions() {
		if f.call == nil || f.cost == nil {
			t.Errorf("%s has no code or no cost", name)
		}
	}
}
