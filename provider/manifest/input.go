package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// MaxBytes is the most bytes of one file or stream that is read: some 30,000 sealed
// values of a password's length.
const MaxBytes = 64 << 20

// Stdin is the argument that stands for standard input.
const Stdin = "-"

// Input is one file, or standard input, as every command reads it.
type Input struct {
	// Name is the file's path as it was found, or <stdin>.
	Name string
	// Named says that an argument names the file; other files were found below a
	// folder that an argument names.
	Named bool
	// Stream says that this is standard input.
	Stream bool
	// Text is the content in UTF-8, without a byte order mark.
	Text []byte

	encoding encoding
	raw      []byte // the content as it is written; nil once it is decoded
}

// Encode returns text as the bytes of a file in the encoding that the input has.
func (in *Input) Encode(text []byte) []byte { return in.encoding.encode(text) }

// Each calls visit for each input that the arguments name: a file, standard input
// (Stdin), or a folder, of which it takes the files below whose names end in .yaml,
// .yml or .json, in the order of their paths. It passes over hidden files and
// folders, links to folders and to files elsewhere, and files that mention none of the
// words: among the files of a folder are templates and others that are not quite YAML. A file that several
// names or symbolic links lead to is visited once.
//
// visit gets an error in place of the text of an input that cannot be read or is not
// text (NotTextError); what visit returns ends the walk. Each itself fails if a name
// leads nowhere, with an *fs.PathError.
func Each(stdin io.Reader, names, words []string, visit func(Input, error) error) error {
	w := walker{words: words, visit: visit, seen: map[string]bool{}}
	for _, name := range names {
		if name == Stdin {
			if err := w.input(Input{Name: "<stdin>", Named: true, Stream: true}, stdin); err != nil {
				return err
			}
			continue
		}
		info, err := os.Stat(name)
		switch {
		case err != nil:
			return err
		case !info.IsDir():
			err = w.file(name, info, true)
		default:
			err = w.folder(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type walker struct {
	words []string
	visit func(Input, error) error
	seen  map[string]bool // by the path without links
}

// folder visits the files below a folder, and then those that links lead to and that
// were not visited by their own names.
func (w *walker) folder(top string) error {
	var links []string
	err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		hidden := path != top && strings.HasPrefix(entry.Name(), ".")
		switch {
		case err != nil && path == top:
			return err
		case err != nil:
			return w.visit(Input{Name: path}, err)
		case entry.IsDir() && hidden:
			return fs.SkipDir
		case entry.IsDir() || hidden || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)):
			return nil
		case entry.Type()&fs.ModeSymlink != 0:
			links = append(links, path)
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return w.visit(Input{Name: path}, err)
		}
		return w.file(path, info, false)
	})
	if err != nil {
		return err
	}
	for _, path := range links {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			err = w.visit(Input{Name: path}, err)
		case info.Mode().IsRegular() && leadsBelow(top, path):
			err = w.file(path, info, false)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// leadsBelow says whether a link leads to a file below the folder. What lies
// elsewhere was not named, and some commands write what they find.
func leadsBelow(top, link string) bool {
	root, err := filepath.EvalSymlinks(top)
	if err != nil {
		return false
	}
	target, err := filepath.EvalSymlinks(link)
	if err != nil {
		return false
	}
	below, err := filepath.Rel(root, target)
	return err == nil && filepath.IsLocal(below)
}

func (w *walker) file(path string, info fs.FileInfo, named bool) error {
	// Hard links are files of their own: a writer replaces each by its name.
	target := path
	if absolute, err := filepath.Abs(path); err == nil {
		if target, err = filepath.EvalSymlinks(absolute); err != nil {
			target = absolute
		}
	}
	if w.seen[target] {
		return nil
	}
	w.seen[target] = true
	in := Input{Name: path, Named: named}
	// A named file may be a pipe, as shells make of <(command).
	if !named && !info.Mode().IsRegular() {
		return w.visit(in, errors.New("is not a regular file"))
	}
	file, err := os.Open(path)
	if err != nil {
		return w.visit(in, err)
	}
	defer file.Close() //nolint:errcheck // read only
	return w.input(in, file)
}

// input reads an input and has it visited, if an argument names it or it mentions
// one of the words.
func (w *walker) input(in Input, from io.Reader) error {
	err := in.read(from)
	if !in.Named && in.raw != nil {
		text := bytes.ReplaceAll(in.raw, []byte{0}, nil)
		if !slices.ContainsFunc(w.words, func(word string) bool { return bytes.Contains(text, []byte(word)) }) {
			return nil
		}
	}
	in.raw = nil
	return w.visit(in, err)
}

func (in *Input) read(from io.Reader) (err error) {
	if in.raw, err = io.ReadAll(io.LimitReader(from, MaxBytes+1)); err != nil {
		in.raw = nil
		return err
	}
	if len(in.raw) > MaxBytes {
		return fmt.Errorf("has more than %d MiB, which no manifest has", MaxBytes>>20)
	}
	in.Text, in.encoding, err = decode(in.raw)
	return err
}

// ReadFile reads one file, as Each does, to be edited and written back.
func ReadFile(path string) (in Input, data []byte, err error) {
	in = Input{Name: path, Named: true}
	file, err := os.Open(path)
	if err != nil {
		return in, nil, err
	}
	defer file.Close() //nolint:errcheck // read only
	if info, err := file.Stat(); err != nil {
		return in, nil, err
	} else if !info.Mode().IsRegular() {
		return in, nil, errors.New("is not a regular file")
	}
	err = in.read(file)
	data, in.raw = in.raw, nil
	return in, data, err
}
