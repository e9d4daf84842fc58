// Package rendertest has what the tests of expressions and of templates share.
//
// Start with Listed and Allocated.
package rendertest

import (
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Listed returns the sorted names of the functions that docs/templates.md lists
// for a section: property or template.
func Listed(t *testing.T, section string) []string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/templates.md")
	if err != nil {
		t.Fatal(err)
	}
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

// Allocated returns the bytes that f allocates.
func Allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
