package exec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/server/exec/reference"
)

// Options say which variables get which values.
type Options struct {
	// Set are variables with the object of each.
	Set map[string]string
	// All gives every object a variable: its path in capitals, other characters than
	// letters and digits as underscores, after Prefix.
	All    bool
	Prefix string
	// References are the syntaxes of references that texts of variables may have beside
	// lanyard:OBJECT, as package reference calls them.
	References []string
}

// variableName is what every shell takes for a variable.
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Environment is the environment with the values put in. What is set by name replaces what
// is there; of all objects only those get a variable whose name is free, so that a file
// called path is not what commands are searched in. What a value says is no reference.
// It fails with all that cannot be had, and never holds a part.
func Environment(ctx context.Context, environ []string, values Values, opts Options) ([]string, error) {
	e := environment{values: values}
	references, err := reference.Find(environ, opts.References)
	if err != nil {
		e.problems = append(e.problems, err)
	}
	if errors.Is(err, reference.ErrTooMany) {
		return nil, err
	}
	if err := values.Begin(ctx, references); err != nil {
		return nil, errors.Join(append(e.problems, err)...)
	}
	e.read(environ)
	e.references(opts.References)
	if opts.All {
		e.all(opts.Prefix)
	}
	for _, name := range sorted(opts.Set) {
		if e.full() {
			break
		}
		if !variableName.MatchString(name) {
			e.wrong("%s is no name of a variable", name)
			continue
		}
		if value, ok := e.value(name, opts.Set[name]); ok {
			e.set(name, value)
		}
	}
	if len(e.problems) > 0 {
		return nil, errors.Join(e.problems...)
	}
	return e.environ, nil
}

// environment is an environment that is being made.
type environment struct {
	values   Values
	environ  []string       // NAME=VALUE
	at       map[string]int // the place of each name
	size     int            // of environ in bytes
	problems []error
}

// maxEnvironment bounds an environment in bytes: Linux takes no larger one, whatever the
// limit of the stack is (https://man7.org/linux/man-pages/man2/execve.2.html).
const maxEnvironment = 6 << 20

func (e *environment) wrong(format string, args ...any) {
	e.problems = append(e.problems, fmt.Errorf(format, args...))
}

// read takes an environment as it is. Of a name that is there twice the first counts, as
// for getenv, and the others are left out.
func (e *environment) read(environ []string) {
	e.at = map[string]int{}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if _, twice := e.at[name]; !twice {
			e.set(name, value)
		}
	}
}

func (e *environment) set(name, value string) {
	at, known := e.at[name]
	if !known {
		at = len(e.environ)
		e.at[name], e.environ = at, append(e.environ, "")
	}
	pair := name + "=" + value
	before := e.size
	e.size += len(pair) - len(e.environ[at])
	e.environ[at] = pair
	if e.full() && before <= maxEnvironment {
		e.wrong("%s: with it the environment has more than %d bytes, which no command takes; read files instead", name, maxEnvironment)
	}
}

// full says that the environment is too large, so that nothing more is read for it.
func (e *environment) full() bool { return e.size > maxEnvironment }

// value is that of an object for a variable.
func (e *environment) value(variable, object string) (string, bool) {
	if object == "" {
		e.wrong("%s: names no object", variable)
		return "", false
	}
	value, err := e.values.Value(object)
	return e.checked(variable, object, value, err)
}

// checked is a value if a variable takes it; of is what messages call it.
func (e *environment) checked(variable, of string, value []byte, err error) (string, bool) {
	switch {
	case err != nil:
		e.wrong("%s: %w", variable, err)
		return "", false
	case bytes.IndexByte(value, 0) >= 0:
		e.wrong("%s: the value of %s has a zero byte, which no variable takes; read the file instead, or give the object encoding: base64", variable, of)
		return "", false
	case len(variable)+len("=")+len(value)+1 > maxFile:
		e.wrong("%s: with the value of %s it has more than %d bytes, which no variable takes; read the file instead", variable, of, maxFile)
		return "", false
	}
	return string(value), true
}

// all gives each object a variable.
func (e *environment) all(prefix string) {
	objects, err := e.values.Objects()
	if err != nil {
		e.problems = append(e.problems, err)
		return
	}
	from := map[string]string{}
	for _, object := range objects {
		name := prefix + VariableOf(object)
		if _, there := e.at[name]; there && from[name] == "" {
			continue
		}
		switch before, taken := from[name]; {
		case taken:
			e.wrong("%s: objects %s and %s have the same variable; set them by name with --env", name, before, object)
			continue
		case !variableName.MatchString(name):
			e.wrong("%s: object %s makes no name of a variable; set it by name with --env, or give a prefix", name, object)
			continue
		case decidesWhatRuns(name):
			e.wrong("%s: object %s would set a variable that decides what programs load or trust, which --all does not; set it by name with --env, or give another prefix", name, object)
			continue
		}
		if e.full() {
			return
		}
		from[name] = object
		if value, ok := e.value(name, object); ok {
			e.set(name, value)
		}
	}
}

// VariableOf is the name of the variable that an object gets by itself.
func VariableOf(object string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, object)
}

// references puts values in the place of references, and reads each once. What is wrong with
// one itself has been told.
func (e *environment) references(syntaxes []string) {
	type answer struct {
		value []byte
		err   error
	}
	read := map[string]answer{}
	for _, pair := range e.environ {
		if e.full() {
			return
		}
		name, text, _ := strings.Cut(pair, "=")
		parsed, err := reference.Parse(name, text, syntaxes)
		if err != nil || len(parsed.References()) == 0 {
			continue
		}
		checked := map[string]string{}
		resolved, ok := parsed.Resolve(maxFile-len(name)-len("=")-1, func(r reference.Reference) string {
			if text, known := checked[r.Text]; known {
				return text
			}
			one, known := read[r.Text]
			if !known {
				one.value, one.err = e.values.Reference(r)
				one.value = r.Value(one.value)
				read[r.Text] = one
			}
			text, _ := e.checked(name, r.String(), one.value, one.err)
			checked[r.Text] = text
			return text
		})
		if !ok {
			e.wrong("%s: has more than %d bytes with its values, which no variable takes", name, maxFile)
			continue
		}
		e.set(name, resolved)
	}
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
