package cmd

import (
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/lanyardhq/lanyard/internal/message"
)

// printableText escapes what a terminal or an eye could take for more than text: control
// characters, line breaks, marks that change the direction, and what is invisible. What is
// escaped already stays as it is.
func printableText(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return text // as it is for almost all
	}
	var out strings.Builder
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)):
			out.WriteString(`\x` + strconv.FormatUint(uint64(text[i])|0x100, 16)[1:])
		case isText(r):
			out.WriteRune(r)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			out.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return out.String()
}

// isText says that a character is seen as what it is.
func isText(r rune) bool {
	return strconv.IsPrint(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// printableName is printableText for a name, and cut after 128 bytes.
func printableName(name string) string {
	return message.Cut(printableText(message.Cut(name, 128)), 256)
}

// printablePassage is printableText for a text, on one line, and cut after 1,024 bytes.
func printablePassage(text string) string {
	return printableText(message.Cut(strings.Join(strings.Fields(message.Cut(text, 8<<10)), " "), 1024))
}

// writeEscaped writes JSON with escapes in place of all characters that are not text.
func writeEscaped(w io.Writer, encoded []byte) error {
	var out strings.Builder
	for _, r := range string(encoded) {
		if r < 0x7f || isText(r) {
			out.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			out.WriteString(`\u` + strconv.FormatUint(uint64(unit)|0x10000, 16)[1:])
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}
