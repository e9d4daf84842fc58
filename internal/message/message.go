// Package message makes names, durations and untrusted text fit for a message.
package message

import (
	"fmt"
	"strings"
	"time"
)

// printable makes untrusted text safe and short enough for a message: control
// characters are escaped and what is longer than 128 bytes is cut.
func Printable(text string) string {
	const most = 128
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	quoted := fmt.Sprintf("%q", text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// plainName says that a name is not empty, not longer than most, and can stand
// in a message, a path of fields and a header without being quoted.
func IsPlainName(name string, most int) bool {
	return name != "" && len(name) <= most && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != '_'
	})
}

// short is a duration as one writes it: 2m instead of 2m0s.
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
