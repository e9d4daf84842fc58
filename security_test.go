package main_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every test that docs/security.md names as the one that holds a promise is there, and
// every promise names one.
func TestPromisesNameTestsThatExist(t *testing.T) {
	page, err := os.ReadFile("docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## What holds these promises\n")
	section, _, _ = strings.Cut(section, "\n## ")
	exist := testNames(t)
	rows := 0
	for row := range strings.Lines(section) {
		cells := strings.Split(row, "|")
		if len(cells) != 5 || strings.HasPrefix(row, "|---") || strings.HasPrefix(row, "| promise ") {
			continue
		}
		rows++
		named := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`").FindAllStringSubmatch(cells[2], -1)
		if len(named) == 0 {
			t.Errorf("no test holds the promise: %s", strings.TrimSpace(cells[1]))
		}
		for _, name := range named {
			if !exist[name[1]] {
				t.Errorf("docs/security.md names the test %s, which there is not", name[1])
			}
		}
	}
	if rows == 0 {
		t.Error("docs/security.md has no table of promises")
	}
}

// testNames are the names of all tests of the program and of integration.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	form := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`)
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		for _, found := range form.FindAllSubmatch(content, -1) {
			names[string(found[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
