package main_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/lanyardhq/lanyard/"

// rooms are the folders that hold the program, from the top down, each with the
// rooms that its code may import. A room's own folders may import each other.
// Folders whose names end in "test" are test code and import what they need.
var rooms = []struct {
	room string
	may  []string
}{
	{"cmd", []string{"server", "provider", "internal"}},

	{"server", []string{"provider/engine", "provider/audit", "provider/tracing", "provider/config", "provider/fault", "provider/identity", "provider/secret", "provider/key", "provider/kmsring", "internal"}},

	{"provider/engine", []string{"provider/audit", "provider/tracing", "provider/config", "provider/spec", "provider/store", "provider/backend/remote", "provider/share", "provider/fault", "provider/identity", "provider/render", "provider/secret", "internal"}},
	{"provider/manifest", []string{"provider/config", "provider/dialect", "provider/spec", "provider/seal", "provider/identity", "provider/secret", "internal"}},
	{"provider/migration", []string{"provider/spec", "internal"}},
	{"provider/audit", []string{"provider/config", "provider/outbox", "provider/backend/remote", "provider/fault", "internal"}},
	{"provider/tracing", []string{"provider/config", "provider/outbox", "provider/backend/remote", "internal"}},
	{"provider/outbox", []string{"provider/backend/remote", "internal"}},
	{"provider/config", []string{"provider/spec", "internal"}},
	{"provider/dialect", []string{"provider/spec", "internal"}},
	{"provider/spec", []string{"internal"}},

	{"provider/store", []string{"provider/key", "provider/seal", "provider/backend", "provider/fault", "provider/identity", "provider/secret", "internal"}},
	{"provider/kmsring", []string{"provider/key", "provider/fault", "provider/identity", "provider/secret", "internal"}},
	{"provider/seal", []string{"provider/key", "provider/fault", "provider/identity", "provider/secret", "internal"}},
	{"provider/key", []string{"provider/backend", "provider/fault", "provider/identity", "provider/secret", "internal"}},
	{"provider/backend", []string{"provider/share", "provider/fault", "provider/identity", "provider/secret", "internal"}},

	{"provider/share", []string{"internal"}},
	{"provider/identity", []string{"provider/fault", "provider/secret", "internal"}},
	{"provider/render", []string{"provider/fault", "internal"}},
	{"provider/fault", nil},
	{"provider/secret", nil},
	{"internal", nil},
}

// kubernetes are the packages that define Kubernetes objects and clients of its API
// server, and who may import them: the command line, the front doors and
// identity/kube. The notation of quantities ("32Mi") is not an object.
var (
	kubernetes        = regexp.MustCompile(`^k8s\.io/(api|apimachinery|client-go)(/|$)`)
	kubernetesAllowed = []string{"cmd", "server", "provider/identity/kube"}
	quantities        = "k8s.io/apimachinery/pkg/api/resource"
)

func TestRoomsImportDownwards(t *testing.T) {
	for folder, imports := range code(t) {
		may, known := allowed(folder)
		if !known && folder != "." {
			t.Errorf("%s belongs to no room; add its room to this test and to the tables of README.md and docs/architecture.md", folder)
			continue
		}
		for _, imported := range imports {
			if kubernetes.MatchString(imported) && imported != quantities && !slices.ContainsFunc(kubernetesAllowed, func(room string) bool { return within(folder, room) }) {
				t.Errorf("%s imports %s; only the front doors and identity/kube know Kubernetes objects", folder, imported)
			}
			own, ok := strings.CutPrefix(imported, module)
			if ok && folder != "." && !slices.ContainsFunc(may, func(room string) bool { return within(own, room) }) {
				t.Errorf("%s imports %s; its room may import only %s", folder, own, strings.Join(may, ", "))
			}
		}
	}
}

func TestProviderHasNoFilesOfItsOwn(t *testing.T) {
	for _, folder := range []string{"provider", "server", "provider/backend", "internal"} {
		if files := code(t)[folder]; files != nil {
			t.Errorf("%s has Go files of its own; each belongs into one of its rooms", folder)
		}
	}
}

// A dialect judges syntax: whoever imports one gets no store, no cloud SDK and no
// engine with it.
func TestADialectDependsOnLittle(t *testing.T) {
	listed, err := exec.Command("go", "list", "-deps", "./provider/dialect/aws").Output()
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(listed), "\n"); lines >= 110 {
		t.Errorf("provider/dialect/aws depends on %d packages, want less than 110:\n%s", lines, listed)
	}
}

// Each page that shows the layout lists the same rooms as the tree has, in the same
// order as the other.
func TestPagesListEveryRoom(t *testing.T) {
	var lists [][]string
	for _, page := range []string{"README.md", "docs/architecture.md"} {
		content, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		_, table, begun := strings.Cut(string(content), "<!-- rooms -->")
		table, _, ended := strings.Cut(table, "<!-- end of rooms -->")
		if !begun || !ended {
			t.Errorf("%s has no table between <!-- rooms --> and <!-- end of rooms -->", page)
			continue
		}
		var listed []string
		for _, row := range regexp.MustCompile(`(?m)^\|([^|]+)\|`).FindAllStringSubmatch(table, -1) {
			for _, room := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
				listed = append(listed, strings.TrimSuffix(room[1], "/"))
			}
		}
		lists = append(lists, listed)
		for _, room := range listed {
			if _, err := os.Stat(room); err != nil {
				t.Errorf("%s lists %s, which is not there", page, room)
			}
		}
		for folder := range code(t) {
			if folder != "." && !strings.HasSuffix(folder, "test") && !slices.ContainsFunc(listed, func(room string) bool { return within(folder, room) }) {
				t.Errorf("%s does not list %s", page, folder)
			}
		}
		for _, room := range []string{"deployment", "docs", "integration"} {
			if !slices.Contains(listed, room) {
				t.Errorf("%s does not list %s", page, room)
			}
		}
	}
	if len(lists) == 2 && !slices.Equal(lists[0], lists[1]) {
		t.Errorf("README.md lists the rooms\n%q\nand docs/architecture.md\n%q", lists[0], lists[1])
	}
}

// allowed says what the room of a folder may import, its own folders included.
func allowed(folder string) (may []string, known bool) {
	for _, r := range rooms {
		if within(folder, r.room) {
			return append([]string{r.room}, r.may...), true
		}
	}
	return nil, false
}

// within says whether a folder is the room or lies in it.
func within(folder, room string) bool { return folder == room || strings.HasPrefix(folder, room+"/") }

// code returns what the files of each folder import, tests and test code aside.
func code(t *testing.T) map[string][]string {
	t.Helper()
	folders := map[string][]string{}
	for _, top := range []string{"cmd", "server", "provider", "internal"} {
		err := filepath.WalkDir(top, func(file string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && (strings.HasSuffix(file, "test") || entry.Name() == "testdata"):
				return fs.SkipDir
			case entry.IsDir(), !strings.HasSuffix(file, ".go"), strings.HasSuffix(file, "_test.go"):
				return nil
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			folder := path.Dir(filepath.ToSlash(file))
			folders[folder] = append(folders[folder], "") // also a folder that imports nothing
			for _, spec := range parsed.Imports {
				imported, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					return err
				}
				folders[folder] = append(folders[folder], imported)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return folders
}

func TestArchitectureNamesPathsThatAreThere(t *testing.T) {
	for _, found := range regexp.MustCompile("`((?:cmd|internal|provider|server|integration|deployment)/[a-z0-9/._-]*)`").FindAllStringSubmatch(read(t, "docs/architecture.md"), -1) {
		if _, err := os.Stat(found[1]); err != nil {
			t.Errorf("docs/architecture.md names %s, which is not there", found[1])
		}
	}
}
