package dialects

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"os/exec"
	"strings"
	"testing"
)

// reader reads one value out of a volume's files as what they are made for does.
type reader func(t *testing.T, files map[string]file) string

// readsAs wants every reader to find the gallery's password, to the letter.
func readsAs(readers ...reader) func(*testing.T, *gallery, map[string]file) {
	return func(t *testing.T, _ *gallery, files map[string]file) {
		t.Helper()
		for _, read := range readers {
			if got := read(t, files); got != galleryPassword {
				t.Errorf("what reads the file finds %q, want %q", got, galleryPassword)
			}
		}
	}
}

// shellVariable is what a variable is after a shell has read the file.
func shellVariable(path, name string) reader {
	return func(t *testing.T, files map[string]file) string {
		t.Helper()
		script := fmt.Sprintf(". /dev/stdin; printf %%s \"$%s\"", name)
		cmd := exec.CommandContext(t.Context(), "sh", "-euc", script)
		cmd.Stdin = bytes.NewReader(files[path].contents)
		output, err := cmd.Output()
		if err != nil {
			t.Errorf("the shell: %v", err)
		}
		return string(output)
	}
}

func passwordOfURL(address reader) reader {
	return func(t *testing.T, files map[string]file) string {
		t.Helper()
		parsed, err := url.Parse(address(t, files))
		if err != nil {
			t.Fatal(err)
		}
		password, _ := parsed.User.Password()
		return password
	}
}

// property is a value of a file of properties, one to a line, as
// java.util.Properties.load reads it: spaces before it are dropped, and a
// backslash takes the meaning from what follows.
func property(path, key string) reader {
	return func(t *testing.T, files map[string]file) string {
		t.Helper()
		for line := range strings.Lines(string(files[path].contents)) {
			if value, found := strings.CutPrefix(strings.TrimSuffix(line, "\n"), key+"="); found {
				return unescaped(strings.TrimLeft(value, " \t\f"))
			}
		}
		return ""
	}
}

// pgpassField is a field of a line of PostgreSQL's password file, from zero:
// https://www.postgresql.org/docs/current/libpq-pgpass.html
func pgpassField(path string, field int) reader {
	return func(t *testing.T, files map[string]file) string {
		t.Helper()
		fields := []string{""}
		line := strings.TrimSuffix(string(files[path].contents), "\n")
		for i := 0; i < len(line); i++ {
			last := &fields[len(fields)-1]
			switch {
			case line[i] == ':':
				fields = append(fields, "")
			case line[i] == '\\' && i+1 < len(line):
				*last += line[i : i+2]
				i++
			default:
				*last += line[i : i+1]
			}
		}
		if len(fields) != 5 {
			t.Fatalf("the line has %d fields", len(fields))
		}
		return unescaped(fields[field])
	}
}

// unescaped takes each backslash away that stands before another character.
func unescaped(text string) string {
	var plain strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			i++
		}
		plain.WriteByte(text[i])
	}
	return plain.String()
}

func ofJSON(path string, keys ...string) reader {
	return func(t *testing.T, files map[string]file) string {
		t.Helper()
		var value any
		if err := json.Unmarshal(files[path].contents, &value); err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			object, _ := value.(map[string]any)
			value = object[key]
		}
		text, _ := value.(string)
		return text
	}
}

// ofLogin is the password in the base64 that Docker's configuration has.
func ofLogin(encoded reader) reader {
	return func(t *testing.T, files map[string]file) string {
		t.Helper()
		login, err := base64.StdEncoding.DecodeString(encoded(t, files))
		if err != nil {
			t.Fatal(err)
		}
		_, password, _ := strings.Cut(string(login), ":")
		return password
	}
}
