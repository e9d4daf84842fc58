package conformance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"sigs.k8s.io/secrets-store-csi-driver/pkg/util/fileutil"
)

func pathPoints() []Point {
	return []Point{
		{
			ID: "P-01", Promise: "every path in an answer is one that the driver's writer takes, and none occurs twice",
			Source: validate, Why: "one absolute path, one .. or one unclean path makes the driver refuse the whole volume; of two files with one path it keeps the last",
			check: pathsAreWritten,
		},
		{
			ID: "P-02", Promise: "a class that asks for a path outside the volume, or for the driver's own names, gets no such file",
			Source: validatePath, Why: "the pod's author writes the class; the driver refuses the volume with words that name neither the object nor the remedy",
			check: hostilePaths,
		},
		{
			ID: "P-03", Promise: "odd but valid names are files of exactly that name, or are refused",
			Source: validatePath, Why: "a name that is silently changed is a file that the application does not find",
			check: oddPaths,
		},
		{
			ID: "P-04", Promise: "files may be in directories of the volume",
			Source: writeToDir, Why: "the driver makes the directories of a path", Optional: true,
			check: directories,
		},
	}
}

func pathsAreWritten(ctx context.Context, s *session) error {
	a, err := s.mountTwo(ctx)
	if err != nil {
		return err
	}
	var w wrongs
	seen := map[string]bool{}
	for _, file := range a.response.GetFiles() {
		if seen[file.GetPath()] {
			w.add("two files have the path %q", file.GetPath())
		}
		seen[file.GetPath()] = true
		if mode := file.GetMode(); mode < 0 || mode > 0o777 {
			w.add("the file %q has mode %d, which is not from 0 to 511", file.GetPath(), mode)
		}
	}
	w.addErr(fileutil.Validate(a.response.GetFiles()))
	if len(w) > 0 {
		return w.err()
	}
	volume, err := os.MkdirTemp(s.scratch, "volume-")
	if err != nil {
		return err
	}
	if err := fileutil.WritePayloads(volume, a.response.GetFiles()); err != nil {
		return fmt.Errorf("the driver cannot write the answer: %w", err)
	}
	for path, contents := range a.files() {
		written, err := os.ReadFile(filepath.Join(volume, path))
		if err != nil || string(written) != string(contents) {
			w.add("the driver wrote %q with %d bytes instead of %d (%v)", path, len(written), len(contents), err)
		}
	}
	return w.err()
}

func hostilePaths(ctx context.Context, s *session) error {
	object, _, err := s.putNew(ctx, s.Accounts[0], "hostile")
	if err != nil {
		return err
	}
	var w wrongs
	for _, path := range []string{"../up", "a/../../up", "a/../b", "/etc/passwd", "..data", "..2026_01_01", "a//b", "./a", "a/", "a/..", strings.Repeat("b", 256), "c/" + strings.Repeat("long/", 1000) + "d"} {
		object.Path = path
		a, err := s.mountNew(ctx, s.Accounts[0], object)
		if err != nil {
			return err
		}
		if _, failed := a.failure(); failed {
			continue
		}
		if err := fileutil.Validate(a.response.GetFiles()); err != nil {
			w.add("a class with the path %s was answered with a file that the driver refuses: %.200s", short(path), err)
		}
	}
	return w.err()
}

func oddPaths(ctx context.Context, s *session) error {
	object, value, err := s.putNew(ctx, s.Accounts[0], "odd")
	if err != nil {
		return err
	}
	var w wrongs
	for _, path := range []string{
		"with space", "Zoë", "名前.txt", "🔑", ".hidden", "-dash", "UPPER_lower.0", "a:b", "50%25", "$HOME", "~", "{{.x}}", "#hash", "!tag",
		"*", "quote'\"", `back\slash`, "null", "0x1f", strings.Repeat("n", 255),
	} {
		object.Path = path
		a, err := s.mountNew(ctx, s.Accounts[0], object)
		if err != nil {
			return err
		}
		if _, failed := a.failure(); failed {
			continue
		}
		if err := a.holds(map[string][]byte{path: value}); err != nil {
			w.addErr(err)
		}
	}
	return w.err()
}

func directories(ctx context.Context, s *session) error {
	owner := s.Accounts[0]
	var objects []Object
	want := map[string][]byte{}
	for i, path := range []string{"db/password", "db/user", "a/b/c/d/e.txt"} {
		object, value, err := s.putNew(ctx, owner, "directory-"+strconv.Itoa(i))
		if err != nil {
			return err
		}
		object.Path = path
		objects = append(objects, object)
		want[path] = value
	}
	a, err := s.mountNew(ctx, owner, objects...)
	return expect(a, err, want)
}

// short is a path for people.
func short(path string) string {
	if len(path) > 60 {
		return fmt.Sprintf("%q… of %d bytes", path[:60], len(path))
	}
	return fmt.Sprintf("%q", path)
}
