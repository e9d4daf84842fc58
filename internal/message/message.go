// Package message makes names, durations and untrusted text fit for a message.
package message

import (
	"fmt"
	"strings"
	"time"
)

// Printable makes a name that others chose safe and short enough for a message:
// control characters are escaped, and what is longer than 128 bytes is cut.
func Printable(name string) string { return printable(name, 128) }

// Excerpt is Printable for text that others wrote, such as the reason in an
// answer: on one line, and cut after 400 bytes.
func Excerpt(text string) string { return excerpt(text, 400) }

// Passage is Excerpt cut after 1,024 bytes, which is what an event shows of a failure.
func Passage(text string) string { return excerpt(text, 1024) }

func excerpt(text string, limit int) string {
	return strings.ReplaceAll(printable(strings.Join(strings.Fields(text), " "), limit), `\\`, `\`)
}

func printable(text string, limit int) string {
	if len(text) <= limit && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || r == '\\' }) {
		return text // as it is for almost all
	}
	quoted := fmt.Sprintf("%q", Cut(text, limit))
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// Cut leaves the first limit bytes of a longer text, to a whole character, and an
// ellipsis of 3 bytes.
func Cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}

// IsPlainName says that a name is not empty, not longer than limit, and can stand
// in a message, a path of fields and a header without being quoted.
func IsPlainName(name string, limit int) bool {
	return name != "" && len(name) <= limit && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != '_'
	})
}

// Names joins the names of the first eight for a message, and counts the others.
func Names[T any](all []T, name func(T) string) string {
	const limit = 8
	var names []string
	for _, one := range all[:min(len(all), limit)] {
		names = append(names, name(one))
	}
	switch {
	case len(all) == 0:
		return "none"
	case len(all) > limit:
		names = append(names, fmt.Sprintf("%d more", len(all)-limit))
	}
	return strings.Join(names, ", ")
}

// Duration formats a duration the way people write it: 2m instead of 2m0s.
func Duration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
