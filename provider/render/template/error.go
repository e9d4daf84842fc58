package template

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/lanyardhq/lanyard/provider/render"
)

// text/template begins its messages with a place and quotes whatever it likes
// after it: template text when it parses, and values when it executes. Only
// what is known to be neither a value nor made of one is taken over.
var (
	parsePlace   = regexp.MustCompile(`^template: ` + templateName + `:(\d+): `)
	executePlace = regexp.MustCompile(`^template: ` + templateName + `:(\d+):(\d+): executing `)

	// These quote values. They are looked for first, so that what a value holds
	// cannot pass for one of the messages below.
	quotesValue = regexp.MustCompile(`(?:range can't iterate over|can't use|range over send-only channel|error calling) `)

	// These quote names that stand in the template, and types.
	missingEntry = regexp.MustCompile(`(?:map has|nil data;) no entry for key ("(?:[^"\\]|\\.)*")$`)
	missingField = regexp.MustCompile(`can't evaluate field (\w+) in type [\w.\[\] {}]+$`)
	wrongCount   = regexp.MustCompile(`wrong number of args for (\w+): (want (?:at least )?\d+ got \d+)$`)
	wrongType    = regexp.MustCompile(`wrong type for value; expected ([\w.\[\] {}]+); got ([\w.\[\] {}]+)$`)
	wrongLiteral = regexp.MustCompile(`expected (bool|string|integer|float); found `)
	noValue      = regexp.MustCompile(`(?:invalid value; expected [\w.\[\] {}]+|nil pointer evaluating [\w.\[\] {}]+)$`)
)

// fieldWithSigns is a name after a dot that cannot stand there as it is.
var fieldWithSigns = regexp.MustCompile(`(?:^|[\s({|,=])(\$?)\.([\pL_][\pL\d_.]*[-/:@+~%#][^\s(){}|"` + "`" + `]*)`)

// parseError gives the line and what the parser says about the text, and how to write
// the name that it stumbles over.
func parseError(err error, text string) error {
	message := err.Error()
	place := parsePlace.FindStringSubmatch(message)
	if place == nil {
		return errors.New("not a template")
	}
	hint := ""
	line, _ := strconv.Atoi(place[1]) //nolint:errcheck // the pattern holds digits
	if lines := strings.Split(text, "\n"); line <= len(lines) {
		for _, action := range actions.FindAllString(lines[line-1], -1) {
			if m := fieldWithSigns.FindStringSubmatch(action[2:]); m != nil {
				top := cmp.Or(m[1], ".")
				hint = fmt.Sprintf("; write {{ index %s %.130q }}", top, m[2])
				break
			}
		}
	}
	return fmt.Errorf("template line %s: %s%s", place[1], message[len(place[0]):], hint)
}

// actions are what stands in braces on one line.
var actions = regexp.MustCompile(`\{\{.*?(?:\}\}|$)`)

// executeError gives the line, the column and the reason, in words that hold no
// part of a value. The names of objects are not secret.
func executeError(err error, written []string, values map[string]string) error {
	message := err.Error()
	place := "template"
	if at := executePlace.FindStringSubmatch(message); at != nil {
		column, _ := strconv.Atoi(at[2]) //nolint:errcheck // the pattern holds digits
		place = fmt.Sprintf("template line %s, column %d", at[1], column+1)
	}
	var missing missingKeyError
	if errors.As(err, &missing) && slices.Contains(written, string(missing)) {
		return fmt.Errorf("%s: %s", place, nothingNamed(strconv.Quote(string(missing)), values))
	}
	var call *callError
	if errors.As(err, &call) {
		if call.function == "" {
			return fmt.Errorf("%s: %w", place, call.reason)
		}
		return fmt.Errorf("%s: %w", place, call)
	}
	if errors.Is(err, render.ErrTooLarge) {
		return fmt.Errorf("%s: %w", place, render.TooLong(render.MaxBytes))
	}
	return fmt.Errorf("%s: %s", place, reason(message, values))
}

func reason(message string, values map[string]string) string {
	if quotesValue.MatchString(message) {
		if strings.Contains(message, "error calling ") {
			return "a function does not take these arguments"
		}
		return "range takes a list, an object or a whole number, and two variables only for the first two"
	}
	if m := missingEntry.FindStringSubmatch(message); m != nil {
		return nothingNamed(m[1], values)
	}
	if m := missingField.FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("text or a number has no field %.130s; use fromJson to make an object of JSON text, and {{ index . \"name\" }} for an object whose name holds a dot", m[1])
	}
	if m := wrongCount.FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("%s: wrong number of arguments: %s", m[1], m[2])
	}
	if m := wrongType.FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("wrong argument: %s where %s is needed", kind(m[2]), kind(m[1]))
	}
	if m := wrongLiteral.FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("wrong argument: %s is needed", kind(m[1]))
	}
	if noValue.MatchString(message) {
		return "there is no value here: it is null or missing"
	}
	return "this cannot be executed"
}

func nothingNamed(quoted string, values map[string]string) string {
	return fmt.Sprintf("nothing is named %.130s here; the template may use the objects %s", quoted, available(values))
}

// kind is a Go type in the words of a template's author.
func kind(goType string) string {
	switch {
	case goType == "string":
		return "text"
	case strings.HasPrefix(goType, "map["):
		return "an object"
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	case goType == "bool":
		return "true or false"
	case goType == "json.Number":
		return "a number from JSON (see int and toString)"
	}
	return "a number"
}

// available lists the names that a template may use.
func available(values map[string]string) string {
	const maxNamed = 20
	names := slices.Sorted(maps.Keys(values))
	if len(names) == 0 {
		return "(there are none)"
	}
	more := ""
	if len(names) > maxNamed {
		names, more = names[:maxNamed], fmt.Sprintf(" and %d more", len(names)-maxNamed)
	}
	names = slices.Clone(names)
	for i := range names {
		names[i] = fmt.Sprintf("%.130q", names[i])
	}
	return strings.Join(names, ", ") + more
}
