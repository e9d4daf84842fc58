// Package message makes names, durations and untrusted text fit for a message.
package message

import (
	"fmt"
	"strings"
	"time"
)

// Printable makes untrusted text safe for a message: it escapes control characters
// and cuts the text after 128 bytes.
func Printable(text string) string {
	const maxText = 128
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	quoted := fmt.Sprintf("%q", text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// IsPlainName says that a name has 1 to max bytes and can stand in a message, a
// field path and a header without quotes.
func IsPlainName(name string, max int) bool {
	return name != "" && len(name) <= max && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != '_'
	})
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
