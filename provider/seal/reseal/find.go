package reseal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/lanyardhq/lanyard/provider/seal/classfile"
)

// maxFile is the largest file in bytes: some 30,000 values of a password's length.
const maxFile = 64 << 20

// prefix begins every text of a sealed value, of whatever version.
const prefix = "lanyard.v"

// Input is a file to reseal.
type Input struct {
	Path string
	// Texts is about how many sealed values it holds.
	Texts int
	// Problem is why it cannot be read.
	Problem string
}

// Find lists the files with sealed values: those that are named, and all of
// YAML and JSON below the directories that are named. Hidden files and
// directories, and symbolic links below a directory, are passed over. A file
// that is named twice is listed once. The error is one of a name that leads
// nowhere.
func Find(names []string) ([]Input, error) {
	var found []Input
	type inode struct{ device, number any } // whole numbers, of sizes that systems differ in
	seen := map[inode]bool{}
	add := func(path string, named bool) {
		info, err := os.Stat(path)
		var data []byte
		if err == nil {
			if stat, ok := info.Sys().(*syscall.Stat_t); ok {
				of := inode{stat.Dev, stat.Ino}
				if seen[of] {
					return
				}
				seen[of] = true
			}
			data, err = readMost(path)
		}
		if err != nil {
			found = append(found, Input{Path: path, Problem: reason(err)})
		} else if texts := bytes.Count(data, []byte(prefix)); texts > 0 || named {
			found = append(found, Input{Path: path, Texts: texts})
		}
	}
	for _, name := range names {
		if info, err := os.Stat(name); err != nil {
			return nil, err
		} else if !info.IsDir() {
			add(name, true)
			continue
		}
		err := filepath.WalkDir(name, func(path string, entry fs.DirEntry, err error) error {
			hidden := path != name && strings.HasPrefix(entry.Name(), ".")
			switch {
			case err != nil && path == name:
				return err
			case err != nil:
				found = append(found, Input{Path: path, Problem: reason(err)})
			case entry.IsDir() && hidden:
				return fs.SkipDir
			case entry.Type().IsRegular() && !hidden && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)):
				add(path, false)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// readMost reads a regular file of at most maxFile bytes.
func readMost(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // read only
	if info, err := file.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("is not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("has more than %d MiB", maxFile>>20)
	}
	return data, err
}

// place is where the text of a sealed value stands in a file.
type place struct {
	start, end    int
	line          int
	class, object string // empty outside of a class
}

// find lists the texts of sealed values in a file, but for those in comments:
// words of their own that begin with prefix. The file need not be YAML, so that
// templates of charts are found too. A new text has no other characters than an
// old one, so that what the file means does not change around it.
func find(data []byte) []place {
	var places []place
	reader := lineReader{line: 1}
	for at := 0; ; {
		next := bytes.Index(data[at:], []byte(prefix))
		if next < 0 {
			break
		}
		start := at + next
		end := start
		for end < len(data) && !strings.ContainsRune(" \t\r\n\"'\\,]}", rune(data[end])) {
			end++
		}
		at = end
		reader.to(data, start)
		if (start == 0 || strings.ContainsRune(" \t\r\n\"'[{,:", rune(data[start-1]))) && !reader.comment {
			places = append(places, place{start: start, end: end, line: reader.line})
		}
	}
	name(data, places)
	return places
}

// lineReader knows of a place in a file its line, and whether a comment has
// begun there: with a "#" at the line's beginning or after a blank, outside of
// quotes that begin where a value can.
type lineReader struct {
	at, line int
	before   byte // the byte before at; zero at a line's beginning
	quote    byte
	comment  bool
}

func (r *lineReader) to(data []byte, end int) {
	for ; r.at < end; r.at++ {
		b := data[r.at]
		switch {
		case b == '\n':
			r.line++
			r.before, r.quote, r.comment = 0, 0, false
			continue
		case r.comment:
		case r.quote != 0:
			if b == r.quote {
				r.quote = 0
			}
		case b == '#' && (r.before == 0 || r.before == ' ' || r.before == '\t'):
			r.comment = true
		case (b == '"' || b == '\'') && (r.before == 0 || strings.ContainsRune(" \t[{,:", rune(r.before))):
			r.quote = b
		}
		r.before = b
	}
}

// name finds out in which classes and objects the places are, as far as the
// file is YAML. What is parsed has a number in the place of each long text.
func name(data []byte, places []place) {
	numbers := make([]string, len(places))
	for i := range places {
		numbers[i] = prefix + strconv.Itoa(i)
	}
	for _, owner := range classfile.SealedIn(splice(data, places, numbers)) {
		i, err := strconv.Atoi(strings.TrimPrefix(owner.Text, prefix))
		if err == nil && i >= 0 && i < len(places) && numbers[i] == owner.Text {
			places[i].class, places[i].object = owner.Class, owner.Object
		}
	}
}
