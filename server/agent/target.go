package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/secrets-store-csi-driver/pkg/util/fileutil"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"github.com/lanyardhq/lanyard/provider/engine"
)

// Target is a directory whose files are written as the CSI driver writes those of a
// volume: all at once, behind one symbolic link that is switched.
type Target struct{ dir string }

// The driver's names in a target; what else begins like a state is one that is written,
// or that a writer which was killed has left.
// https://github.com/kubernetes-sigs/secrets-store-csi-driver/blob/v1.6.0/pkg/util/fileutil/atomic_writer.go
const (
	current = "..data"
	next    = "..data_tmp"
	states  = "..20"
)

// OpenTarget returns the directory, which it makes with the mode if there is none. It refuses one that
// holds files of others, because the writer removes what stands in its way. What an
// earlier process wrote is taken over.
func OpenTarget(dir string, mode fs.FileMode) (*Target, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(absolute)
	if errors.Is(err, fs.ErrNotExist) {
		return &Target{absolute}, os.MkdirAll(absolute, mode)
	}
	if err != nil {
		return nil, err
	}
	own := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == current })
	foreign := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() != next && !strings.HasPrefix(e.Name(), states) })
	if foreign && !own {
		return nil, fmt.Errorf("%s holds files that this command did not write; name an empty or new directory", dir)
	}
	return &Target{absolute}, nil
}

// Dir is the absolute path.
func (t *Target) Dir() string { return t.dir }

// Written says whether the directory has files, or was written without any.
func Written(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, current)); err != nil {
		return fmt.Errorf("%s has no files yet", dir)
	}
	return nil
}

// Write makes the files the only ones of the target. An error leaves those that are there.
func (t *Target) Write(files []engine.File) error {
	if err := t.tidy(); err != nil {
		return err
	}
	payload := make([]*v1alpha1.File, 0, len(files))
	for _, file := range files {
		payload = append(payload, &v1alpha1.File{Path: file.Path, Mode: int32(file.Mode.Perm()), Contents: file.Contents}) //nolint:gosec // nine bits
	}
	if err := fileutil.WritePayloads(t.dir, payload); err != nil {
		return errors.Join(err, t.tidy())
	}
	// The writer compares contents alone.
	for _, file := range files {
		path := filepath.Join(t.dir, current, file.Path)
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.Mode().Perm() != file.Mode.Perm() {
			if err := os.Chmod(path, file.Mode.Perm()); err != nil {
				return err
			}
		}
	}
	return nil
}

// tidy removes what a writer that was killed, or that failed, has left: states that were
// never switched to, and the link, which the next one could not make.
func (t *Target) tidy() error {
	entries, err := os.ReadDir(t.dir)
	if err != nil {
		return err
	}
	holds, err := os.Readlink(filepath.Join(t.dir, current))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var failed []error
	for _, entry := range entries {
		if name := entry.Name(); name == next || strings.HasPrefix(name, states) && name != holds {
			failed = append(failed, os.RemoveAll(filepath.Join(t.dir, name)))
		}
	}
	return errors.Join(failed...)
}

// Files are those that the target has; nil if it was never written. Of what is no longer
// readable the contents are empty.
func (t *Target) Files() (files []engine.File, err error) {
	root, err := os.OpenRoot(filepath.Join(t.dir, current))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close() //nolint:errcheck // it was read only
	files = []engine.File{}
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		contents, err := root.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
		files = append(files, engine.File{Path: path, Mode: info.Mode().Perm(), Contents: contents})
		return nil
	})
	return files, err
}

// Change is one file that was added, changed or removed.
type Change struct{ Path, What string }

// Changes are what turns one list of files into another, by path.
func Changes(before, after []engine.File) (changes []Change) {
	old := map[string]engine.File{}
	for _, file := range before {
		old[file.Path] = file
	}
	for _, file := range after {
		was, existed := old[file.Path]
		switch {
		case !existed:
			changes = append(changes, Change{file.Path, "added"})
		case !bytes.Equal(was.Contents, file.Contents) || was.Mode != file.Mode:
			changes = append(changes, Change{file.Path, "changed"})
		}
		delete(old, file.Path)
	}
	for path := range old {
		changes = append(changes, Change{path, "removed"})
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return changes
}
