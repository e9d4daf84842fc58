package agent

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/server/exec"
)

// maxValue bounds a value of an environment file in bytes, with its name: what the kernel
// takes of one variable (MAX_ARG_STRLEN, execve(2)).
const maxValue = 128 << 10

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// EnvFile is the text of a file of the kubelet's format for env.valueFrom.fileKeyRef:
// lines of NAME='value', where all between the quotes is the value as it is, further lines
// included. The names are those of lanyard exec --all. The error names every file whose
// value the format cannot hold.
// https://github.com/kubernetes/kubernetes/blob/fa7ba8e2f963aad48acbd0aee416f9743af443f5/pkg/kubelet/util/env/env_util_test.go
func EnvFile(files []engine.File) ([]byte, error) {
	var text bytes.Buffer
	var problems []error
	from := map[string]string{}
	for _, file := range files {
		name, path := exec.VariableOf(file.Path), message.Printable(file.Path)
		wrong := ""
		switch other, taken := from[name]; {
		case taken:
			wrong = fmt.Sprintf("has the variable %s, as %s has", name, message.Printable(other))
		case !variableName.MatchString(name):
			wrong = "makes no name of a variable; give it another path"
		case bytes.IndexByte(file.Contents, '\'') >= 0:
			wrong = "has a single quote in its value, which ends a value of this format; " + instead
		case bytes.IndexByte(file.Contents, '\r') >= 0:
			wrong = "has a carriage return in its value, which readers of lines drop; " + instead
		case bytes.IndexByte(file.Contents, 0) >= 0:
			wrong = "has a zero byte in its value, which no variable takes; " + instead
		case !utf8.Valid(file.Contents):
			wrong = "has a value that is not UTF-8, which the kubelet cannot pass on; " + instead
		case len(name)+len("=")+len(file.Contents)+1 > maxValue:
			wrong = fmt.Sprintf("has a value of more than %d bytes, which no variable takes; read the file instead", maxValue)
		}
		from[name] = file.Path
		if wrong != "" {
			problems = append(problems, fmt.Errorf("--env-file: %s %s", path, wrong))
			continue
		}
		fmt.Fprintf(&text, "%s='%s'\n", name, file.Contents)
	}
	return text.Bytes(), errors.Join(problems...)
}

const instead = "read the file instead, or give the object encoding: base64"

// words splits a command into its words at white space. Within single or double quotes
// white space is as it is; a backslash keeps the next character.
func words(text string) ([]string, error) {
	var all []string
	var word strings.Builder
	begun, escaped, quote := false, false, rune(0)
	for _, r := range text {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			begun, escaped = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			begun, quote = true, r
		case r == ' ' || r == '\t' || r == '\n':
			if begun {
				all = append(all, word.String())
			}
			begun = false
			word.Reset()
		default:
			begun = true
			word.WriteRune(r)
		}
	}
	if begun {
		all = append(all, word.String())
	}
	switch {
	case quote != 0:
		return nil, fmt.Errorf("a quote %c is not closed", quote)
	case escaped:
		return nil, errors.New("ends with a backslash")
	case len(all) == 0 || all[0] == "":
		return nil, errors.New("names no command")
	}
	return all, nil
}
