// Package exec puts secrets into the environment of a command and becomes it: nothing
// between the secret and the process that needs it, neither etcd nor a file of the node.
//
// Values come from a volume that the node's provider has filled, so that the pod has no
// credentials of any store; the command line has other Values too. The package stands on
// the standard library alone, because a binary with it is copied into pods. Start with
// Environment and Replace.
package exec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/server/exec/reference"
)

// Values are secrets by the name of their object.
type Values interface {
	// Begin is called before each environment that is made, and reads what is read once
	// for all values of it, which are objects and these references. It gives up when the
	// context ends.
	Begin(ctx context.Context, references []reference.Reference) error
	// Value returns the value of an object, whose name is the path of its file. The
	// error says what is wrong and what there is instead.
	Value(object string) ([]byte, error)
	// Reference returns what was read for a reference.
	Reference(r reference.Reference) ([]byte, error)
	// Objects are the names of all objects, sorted.
	Objects() ([]string, error)
}

// Volume is the directory of a mounted class.
type Volume struct{ Dir string }

// maxFile bounds a file, and so a value, in bytes: Linux takes no longer string into an
// environment (MAX_ARG_STRLEN, https://man7.org/linux/man-pages/man2/execve.2.html).
const maxFile = 128 << 10

// Begin looks whether there is a volume; each file is read by itself.
func (v Volume) Begin(context.Context, []reference.Reference) error {
	if info, err := os.Stat(v.Dir); err != nil || !info.IsDir() {
		return fmt.Errorf("%s is no directory; mount the class there", v.Dir)
	}
	return nil
}

// Value reads the file of the object, byte for byte.
func (v Volume) Value(object string) ([]byte, error) {
	value, err := v.read(object)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the volume %s has no object %s; it has %s", v.Dir, object, v.list())
	}
	return value, err
}

// Reference reads the file of the reference, or else of the object that stands for it.
func (v Volume) Reference(r reference.Reference) ([]byte, error) {
	object, named := r.Object()
	if r.Product == reference.Lanyard {
		return v.Value(object)
	}
	value, err := v.read(r.File())
	if errors.Is(err, fs.ErrNotExist) && named {
		value, err = v.read(object)
	}
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return value, err
	case named:
		return nil, fmt.Errorf("the volume %s has no value of %s, in neither %s nor %s; it has %s", v.Dir, r, r.File(), object, v.list())
	}
	return nil, fmt.Errorf("the volume %s has no value of %s, which would be in %s; have lanyard agent --references fill it, or a class that lanyard exec --print-class prints, leave --volume out to read the value here, or say with --references which texts are references", v.Dir, r, r.File())
}

// read reads a file of the volume. That there is none is an fs.ErrNotExist; that there is no
// volume is not.
func (v Volume) read(object string) ([]byte, error) {
	if !filepath.IsLocal(object) {
		return nil, fmt.Errorf("%q is no path within the volume %s", object, v.Dir)
	}
	// The volume's links lead within it; nothing leads out.
	root, err := os.OpenRoot(v.Dir)
	if err != nil {
		return nil, noVolume(v.Dir, err)
	}
	defer root.Close() //nolint:errcheck // it was read only
	file, err := root.Open(object)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it was read only
	if info, err := file.Stat(); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s is a directory of the volume %s; name a file in it", object, v.Dir)
	}
	value, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(value) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes, which no variable takes; read the file instead", object, maxFile)
	}
	return value, nil
}

func noVolume(dir string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no directory %s; give --volume the mountPath of the class's volume in this container", dir)
	}
	return err
}

// Objects are the files of the volume, but for those by which the driver switches from one
// state to the next, which begin with two dots.
func (v Volume) Objects() ([]string, error) {
	var all []string
	err := v.walk("", &all, 0)
	if err != nil {
		return nil, noVolume(v.Dir, err)
	}
	slices.Sort(all)
	return all, nil
}

// maxDepth bounds how deep a volume is looked into.
const maxDepth = 32

// walk follows links, since the driver makes each first element of a path a link.
func (v Volume) walk(below string, all *[]string, depth int) error {
	entries, err := os.ReadDir(filepath.Join(v.Dir, below))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := filepath.Join(below, entry.Name())
		if strings.HasPrefix(entry.Name(), "..") {
			continue
		}
		info, err := os.Stat(filepath.Join(v.Dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist): // it was changed meanwhile
		case err != nil:
			return err
		case info.IsDir() && depth < maxDepth:
			if err := v.walk(name, all, depth+1); err != nil {
				return err
			}
		case info.Mode().IsRegular():
			*all = append(*all, name)
		}
	}
	return nil
}

// list are the first objects, for a message.
func (v Volume) list() string {
	const maxListed = 8
	all, err := v.Objects()
	switch {
	case err != nil || len(all) == 0:
		return "none"
	case len(all) > maxListed:
		return strings.Join(all[:maxListed], ", ") + fmt.Sprintf(" and %d more", len(all)-maxListed)
	}
	return strings.Join(all, ", ")
}
