package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// verbs are those that a template may use.
const verbs = "%svqxXdbocUtefgEFG"

// maxWidth is the largest width and precision of a verb.
const maxWidth = 1000

// formatted is printf. It checks what fmt would rather write into the text,
// such as "%!d(string=...)", and keeps to widths and arguments that are plain
// to count.
func formatted(format string, args ...any) (string, error) {
	checked := make([]any, 0, len(args))
	for rest := format; ; {
		at := strings.IndexByte(rest, '%')
		if at < 0 {
			break
		}
		verb, after, err := parseVerb(rest[at+1:])
		if err != nil {
			return "", err
		}
		rest = after
		if verb == '%' {
			continue
		}
		if len(checked) == len(args) {
			return "", fmt.Errorf("the format has more verbs than the %d argument(s) after it", len(args))
		}
		arg, err := argumentOf(verb, args[len(checked)])
		if err != nil {
			return "", err
		}
		checked = append(checked, arg)
	}
	if len(checked) < len(args) {
		return "", fmt.Errorf("the format has %d verb(s) for %d arguments", len(checked), len(args))
	}
	return fmt.Sprintf(format, checked...), nil
}

// parseVerb reads flags, width, precision and the verb itself.
func parseVerb(text string) (verb byte, rest string, err error) {
	text = strings.TrimLeft(text, "+-# 0")
	for _, part := range []string{"width", "precision"} {
		digits := text[:len(text)-len(strings.TrimLeft(text, "0123456789"))]
		if n, err := strconv.Atoi(digits); digits != "" && (err != nil || n > maxWidth) {
			return 0, "", fmt.Errorf("a %s is over %d", part, maxWidth)
		}
		text = text[len(digits):]
		if part == "precision" || !strings.HasPrefix(text, ".") {
			break
		}
		text = text[1:]
	}
	if text == "" || strings.IndexByte(verbs, text[0]) < 0 {
		return 0, "", errors.New("the format has a verb that is not known; there are %s %q %v %d %x %X %o %b %c %U %t %e %f %g %%")
	}
	return text[0], text[1:], nil
}

// argumentOf returns arg as the verb needs it.
func argumentOf(verb byte, arg any) (any, error) {
	_, isText := arg.(string)
	_, isTruth := arg.(bool)
	switch verb {
	case 't':
		if !isTruth {
			return nil, errors.New("%t takes true or false")
		}
		return arg, nil
	case 'd', 'b', 'o', 'c', 'U':
		if isText || isTruth {
			return nil, fmt.Errorf("%%%c takes a number; use int to make one of text", verb)
		}
		n, err := integer(arg)
		if verb == 'c' && (n < 0 || n > utf8.MaxRune || !utf8.ValidRune(rune(n))) {
			return nil, errors.New("%c takes the number of a character")
		}
		return n, err
	case 'e', 'f', 'g', 'E', 'F', 'G':
		if isText || isTruth {
			return nil, fmt.Errorf("%%%c takes a number", verb)
		}
		return toFloat(arg)
	case 'x', 'X':
		if n, ok := arg.(json.Number); ok {
			return integer(n)
		}
		if isTruth {
			return nil, fmt.Errorf("%%%c takes text or a number", verb)
		}
		if isText {
			return arg, nil
		}
		return integer(arg)
	}
	return text(arg) // s, q and v
}
