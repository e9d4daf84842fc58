package render

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// The maximum number of files that one object expands into, and of the parts of a key
// between slashes.
const (
	maxEntries = 1000
	maxParts   = 16
)

// Entry is one file of an expanded object.
type Entry struct {
	// Name is the key, which is safe as the path of a file below a directory.
	Name string
	Data []byte
}

// Expand returns one entry for each top-level key of a JSON object, sorted by
// name, with the data that a property of that name would select: a string's
// text, and compact JSON for anything else. A key that is null has no entry, and one
// with slashes is a file in directories.
// An object without entries is ErrNothing; names that cannot be files are an
// error that names them all.
func Expand(value []byte) ([]Entry, error) {
	parsed, err := ParseJSON(value)
	if err != nil {
		return nil, err
	}
	object, ok := parsed.(map[string]any)
	if !ok {
		return nil, errors.New("the value is not a JSON object, so it has no keys to expand")
	}
	maps.DeleteFunc(object, func(_ string, entry any) bool { return entry == nil })
	if len(object) > maxEntries {
		return nil, fmt.Errorf("%w: the object has %d keys; at most %d can be expanded", ErrTooLarge, len(object), maxEntries)
	}
	var (
		entries  []Entry
		problems []string
		total    int
	)
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if reason := badPath(key, object); reason != "" {
			problems = append(problems, fmt.Sprintf("key %.64q %s", key, reason))
			continue
		}
		data, err := Value(object[key], MaxBytes-total)
		if err != nil {
			return nil, fmt.Errorf("key %.64q: %w", key, err)
		}
		total += len(data)
		entries = append(entries, Entry{Name: key, Data: data})
	}
	if len(problems) > 0 {
		const maxNamed = 10
		if more := len(problems) - maxNamed; more > 0 {
			problems = append(problems[:maxNamed], fmt.Sprintf("and %d more", more))
		}
		return nil, fmt.Errorf("%s; select what is needed with `property` instead of `expand`", strings.Join(problems, "; "))
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("expand %w: the object has no keys, or all are null", ErrNothing)
	}
	return entries, nil
}

// badPath says why a key of the object cannot be the path of a file, or nothing.
func badPath(key string, object map[string]any) string {
	if strings.Count(key, "/") >= maxParts {
		return fmt.Sprintf("has more than %d parts between slashes", maxParts)
	}
	parts := strings.Split(key, "/")
	for i, part := range parts {
		if reason := badFileName(part); reason != "" && len(parts) > 1 {
			return fmt.Sprintf("has a part that %s", reason)
		} else if reason != "" {
			return reason
		}
		if above := strings.Join(parts[:i], "/"); i > 0 && object[above] != nil {
			return fmt.Sprintf("needs a directory where key %.64q is a file", above)
		}
	}
	return ""
}

// badFileName says why a key cannot be the name of a file, or nothing. Names
// that begin with two dots are the kubelet's own in a volume.
func badFileName(name string) string {
	switch {
	case name == "":
		return "is empty and cannot be a file name"
	case name == ".":
		return "cannot be a file name"
	case strings.HasPrefix(name, ".."):
		return "begins with two dots, which a file name may not"
	case len(name) > 255:
		return "is longer than a file name may be (255 bytes)"
	case strings.ContainsFunc(name, unicode.IsControl):
		return "holds a control character, which a file name may not"
	}
	return ""
}

// Value is what a selected JSON value is in a file: a string's text, and
// compact JSON for all else.
func Value(v any, limit int) ([]byte, error) {
	if text, ok := v.(string); ok {
		if len(text) > limit {
			return nil, TooLong(MaxBytes)
		}
		return []byte(text), nil
	}
	return AppendJSON(nil, v, limit)
}
