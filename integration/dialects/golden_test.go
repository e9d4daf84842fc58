package dialects

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// testdata is where a dialect keeps its classes, one directory each:
//
//	class.yaml    the SecretProviderClass, as its author would write it
//	files/        the files that it makes, byte for byte
//	expect.yaml   the rest, if there is any
//	native.yaml   the class that lanyard convert makes of it
func testdata(dialect string) string {
	return filepath.Join("..", "..", "provider", "dialect", dialect, "testdata")
}

// expectations are what expect.yaml says.
type expectations struct {
	// Modes are the files' modes in octal, 0644 where none is given.
	Modes map[string]string `json:"modes"`
	// Patterns are regular expressions for files that are made anew each time.
	Patterns map[string]string `json:"patterns"`
}

// manifest is as much of a SecretProviderClass as the driver sends.
type manifest struct {
	Metadata struct{ Name, Namespace string }
	Spec     struct {
		Provider   string
		Parameters map[string]string
	}
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, into, yaml.DisallowUnknownFields); err != nil {
		// A class has more than manifest knows.
		if err := yaml.Unmarshal(text, into); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
}

// goldens mounts every class of a dialect, and its native counterpart, as a pod
// of the service account shop/web.
func goldens(t *testing.T, n *node, dialect string) {
	entries, err := os.ReadDir(testdata(dialect))
	if err != nil {
		t.Fatal(err)
	}
	classes := 0
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		classes++
		t.Run(entry.Name(), func(t *testing.T) {
			dir := filepath.Join(testdata(dialect), entry.Name())
			for _, file := range []string{"class.yaml", "native.yaml"} {
				t.Run(strings.TrimSuffix(file, ".yaml"), func(t *testing.T) {
					var class manifest
					readYAML(t, filepath.Join(dir, file), &class)
					p := n.pod(t, "shop", "web")
					if err := n.mount(t.Context(), p, class); err != nil {
						t.Fatal(err)
					}
					compare(t, p, dir)
				})
			}
		})
	}
	const least = 20
	if classes < least {
		t.Errorf("there are %d classes, want at least %d", classes, least)
	}
}

// compare compares a pod's volume with the files and expectations of a class.
func compare(t *testing.T, p pod, dir string) {
	t.Helper()
	var expect expectations
	if _, err := os.Stat(filepath.Join(dir, "expect.yaml")); err == nil {
		readYAML(t, filepath.Join(dir, "expect.yaml"), &expect)
	}
	want := map[string][]byte{}
	err := filepath.WalkDir(filepath.Join(dir, "files"), func(path string, entry fs.DirEntry, err error) error {
		if os.IsNotExist(err) || err == nil && entry.IsDir() {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(filepath.Join(dir, "files"), path)
		if err != nil {
			return err
		}
		want[filepath.ToSlash(name)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	compareFiles(t, p, want, expect)
}

// compareFiles compares a pod's volume with files and expectations.
func compareFiles(t *testing.T, p pod, want map[string][]byte, expect expectations) {
	t.Helper()
	got := p.files(t)
	for name, file := range got {
		contents, exact := want[name]
		pattern, matched := expect.Patterns[name]
		switch {
		case exact && string(file.contents) != string(contents):
			t.Errorf("%s holds\n%q, want\n%q", name, file.contents, contents)
		case matched && !regexp.MustCompile(pattern).Match(file.contents):
			t.Errorf("%s holds\n%q, which does not match\n%s", name, file.contents, pattern)
		case !exact && !matched:
			t.Errorf("%s is not expected; it holds %q", name, file.contents)
		}
		mode := expect.Modes[name]
		if mode == "" {
			mode = "0644"
		}
		if file.mode != mode {
			t.Errorf("%s has mode %s, want %s", name, file.mode, mode)
		}
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(want)), slices.Collect(maps.Keys(expect.Patterns))) {
		if _, ok := got[name]; !ok {
			t.Errorf("there is no file %s", name)
		}
	}
}
