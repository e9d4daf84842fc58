// Package config is the operator's configuration: its types, defaults and
// ranges, how it is merged with what a class says of a store, and its file, which
// is read, followed and printed. It says where in the file a mistake is; what a
// store's own settings mean is that store's to know. It never makes a wrong file
// hold in place of a good one.
//
// Start with Config and Load.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/internal/nodefile"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// maxBytes is the largest configuration file that is read; a ConfigMap cannot
// hold a larger one.
const maxBytes = 1 << 20

// File is a configuration file as it was read.
type File struct {
	// Path is what it was read from.
	Path string
	// Config holds what the file says, and the defaults where it says nothing.
	Config Config

	data []byte
	root *yaml.Node
	from reader
}

// Error is a configuration file that cannot be used: all that is wrong with it.
type Error struct {
	// Path is the file.
	Path string
	// Problems have their lines, where they can be told.
	Problems strict.Problems
	// stores are those of a file in which something else is wrong; nil if none could be read.
	stores *File
}

// Error lists the problems as compilers do, one on each line:
// "lanyard.yaml:12: cache.refresh: is 0s and must be from 1s to 720h".
func (e *Error) Error() string { return e.Problems.In(e.Path) }

// Load reads the file at path and checks it as far as that is possible without
// knowing the types of stores; see File.Explain for the rest. The error is an
// *Error. An empty file is refused: it is what a file looks like while it is
// being written, and it would take away all that the operator has pinned.
func Load(path string) (*File, error) { return load(path, readAny) }

// LoadTrusted is Load for who serves others by the file: it refuses one that others
// than this process's user and root can change, and what is no regular file.
func LoadTrusted(path string) (*File, error) { return load(path, nodefile.ReadTrusted) }

// Parse checks the text of a configuration that is in no file, as Load does; name stands
// for the file's path.
func Parse(name string, text []byte) (*File, error) { return parse(name, text) }

// reader reads a file of at most limit bytes.
type reader func(path string, limit int64) ([]byte, error)

func load(path string, from reader) (*File, error) {
	data, err := read(path, from)
	if err != nil {
		return nil, err
	}
	file, err := parse(path, data)
	if err != nil {
		return nil, err
	}
	file.from = from
	return file, nil
}

func read(path string, from reader) ([]byte, error) {
	data, err := from(path, maxBytes)
	if err != nil {
		return nil, wrong(path, "cannot be read: "+strings.TrimPrefix(strings.TrimPrefix(cause(err), path+" "), path+": "))
	}
	return data, nil
}

// readAny reads whatever a person names, a pipe too.
func readAny(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // read only
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("is larger than %d bytes", limit)
	}
	return data, err
}

// wrong is a problem with the file as a whole.
func wrong(path, text string) *Error {
	return &Error{Path: path, Problems: strict.Problems{{Text: text}}}
}

// cause drops the operation and the path that package os adds.
func cause(err error) string {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

func parse(path string, data []byte) (*File, error) {
	f := &File{Path: path, Config: Default(), data: data}
	root, err := strict.Next(yaml.NewDecoder(bytes.NewReader(data)))
	if errors.Is(err, io.EOF) || err == nil && (len(root.Content) == 0 || root.Content[0].Tag == "!!null") {
		return nil, wrong(path, "is empty; write {} into it if the defaults are wanted")
	}
	if err == nil {
		f.root = root.Content[0]
		if at, value, found := strict.Find(f.root, "config"); found && value.Kind == yaml.MappingNode {
			return nil, &Error{Path: path, Problems: strict.Problems{{Line: at.Line, Column: at.Column, Field: "config", Text: "unknown field; these are values of Lanyard's chart: the configuration is what stands below config, in a file of its own"}}}
		}
	}

	problems := strict.Unmarshal(data, &f.Config)
	for _, problem := range f.located(f.Config.Validate()) {
		if f.root != nil && !problems.Explain(problem.Field) {
			problems = append(problems, problem)
		}
	}
	if len(problems) > 0 {
		wrong := &Error{Path: path, Problems: problems}
		if f.root != nil {
			wrong.stores = f
		}
		return nil, wrong
	}
	return f, nil
}

// WithStores returns the error with what is wrong with the file's stores too, which open
// finds under a configuration that has them alone. Its problems are those of File.Explain.
func (e *Error) WithStores(open func(Config) error) *Error {
	if e.stores == nil {
		return e
	}
	alone := Default()
	alone.Stores = e.stores.Config.Stores
	var found *Error
	if !errors.As(e.stores.Explain(open(alone)), &found) {
		return e
	}
	// What is known to be wrong with a field is what open would trip over.
	reported := func(p strict.Problem) bool {
		return slices.ContainsFunc(e.Problems, func(known strict.Problem) bool { return known.Field == p.Field })
	}
	return &Error{Path: e.Path, Problems: e.Problems.With(slices.DeleteFunc(found.Problems, reported))}
}

// Explain turns what the engine says of the file's Config into an *Error with
// the lines of the file. Other errors are returned as they are.
func (f *File) Explain(err error) error {
	var problems spec.Problems
	if !errors.As(err, &problems) {
		return err
	}
	return &Error{Path: f.Path, Problems: f.located(problems)}
}

func (f *File) located(problems spec.Problems) strict.Problems {
	located := make(strict.Problems, len(problems))
	for i, problem := range problems {
		located[i] = strict.Problem{Field: problem.Field, Text: problem.Text}
		if f.root == nil {
			continue
		}
		if at, _, _ := strict.Find(f.root, problem.Field); at != f.root { // else nothing of it is in the file
			located[i].Line, located[i].Column = at.Line, at.Column
		}
	}
	return located
}
