package consultemplate

import (
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"text/template/parse"

	"github.com/lanyardhq/lanyard/internal/message"
)

// File is a further file that a template writes.
type File struct {
	// Path is absolute, as the template says it.
	Path     string
	Mode     fs.FileMode
	Contents []byte
}

// writeName is the function that writes further files:
// writeToFile PATH OWNER GROUP MODE [FLAGS] TEXT.
// https://github.com/hashicorp/consul-template/blob/main/docs/templating-language.md#writetofile
const writeName = "writeToFile"

// writeFlags are what FLAGS may list: append to what the file has, and end with a new line.
const (
	flagAppend  = "append"
	flagNewline = "newline"
)

// fileArgs are the arguments of writeToFile before FLAGS.
const fileArgs = 4

// written is a call of writeToFile: where it writes, and how.
type written struct {
	path            string
	mode            fs.FileMode
	append, newline bool
}

// writtenBy parses the arguments without the text. The problem is empty if they are right.
func writtenBy(args []string) (w written, problem string) {
	if len(args) < fileArgs || len(args) > fileArgs+1 {
		return w, "needs a path, an owner, a group and a mode before the text, and flags if any: writeToFile \"/vault/secrets/key.pem\" \"\" \"\" \"0600\""
	}
	w.path = args[0]
	if !strings.HasPrefix(w.path, "/") || path.Clean(w.path) != w.path || w.path == "/" {
		return w, "the path must be absolute and clean, such as /vault/secrets/key.pem, not " + message.Printable(w.path)
	}
	mode, err := strconv.ParseUint(args[3], 8, 9)
	if err != nil {
		return w, "the mode must be octal, such as 0600, not " + message.Printable(args[3])
	}
	w.mode = fs.FileMode(mode)
	if len(args) == fileArgs {
		return w, ""
	}
	for _, flag := range strings.FieldsFunc(args[fileArgs], func(r rune) bool { return r == ',' || r == ' ' }) {
		switch flag {
		case flagAppend:
			w.append = true
		case flagNewline:
			w.newline = true
		default:
			return w, "the flags must be of " + flagAppend + " and " + flagNewline + ", not " + message.Printable(flag)
		}
	}
	return w, ""
}

// write notes the file of a call of writeToFile.
func (w *walker) write(command *parse.CommandNode, misplaced, piped bool) {
	args := command.Args[1:]
	if !piped && len(args) > 0 {
		args = args[:len(args)-1] // the text
	}
	texts, ok := literals(args)
	switch call, problem := writtenBy(texts); {
	case misplaced || !ok:
		w.wrong(command, `the arguments of writeToFile before the text must be written out, so that the file is known before anything is read`)
	case problem != "":
		w.wrong(command, "writeToFile: %s", problem)
	case !slices.Contains(w.files, call.path):
		w.files = append(w.files, call.path)
	}
}

// write does what a call of writeToFile says. It prints nothing.
func (x *execution) write(file, owner, group, mode string, rest ...string) (string, error) {
	if len(rest) == 0 {
		return "", problemf("writeToFile: needs the text at its end")
	}
	flags, text := rest[:len(rest)-1], rest[len(rest)-1]
	w, wrong := writtenBy(slices.Concat([]string{file, owner, group, mode}, flags))
	if wrong != "" {
		return "", problemf("writeToFile: %s", wrong)
	}
	if w.newline {
		text += "\n"
	}
	at := slices.IndexFunc(x.files, func(f File) bool { return f.Path == w.path })
	if at < 0 {
		at, x.files = len(x.files), append(x.files, File{Path: w.path})
	}
	f := &x.files[at]
	f.Mode = w.mode
	if !w.append {
		x.filed -= len(f.Contents)
		f.Contents = nil
	}
	if x.filed += len(text); x.filed > maxOutput {
		return "", problemf("writeToFile: the files have more than %d bytes together", maxOutput)
	}
	f.Contents = append(f.Contents, text...)
	return "", nil
}
