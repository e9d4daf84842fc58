package cmd

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// hostileTexts are texts that do to a terminal, or to an eye, what text does not.
var hostileTexts = map[string]string{
	"a clipboard":              "\x1b]52;c;cm0gLXJmIC8=\x07",
	"a clear screen":           "\x1b[2J\x1b[H",
	"a title":                  "\x1b]0;title\x1b\\",
	"a hyperlink":              "\x1b]8;;http://example.com\x1b\\text\x1b]8;;\x1b\\",
	"a device control":         "\x1bP+q544e\x1b\\",
	"a reset":                  "\x1bc",
	"a CSI of one byte":        "\u009b2J",
	"an OSC of one byte":       "\u009d52;c;eA==\u009c",
	"a next line":              "a\u0085FORGED",
	"a right-to-left override": "a\u202egnp.exe",
	"an isolate":               "\u2066a\u2069",
	"a right-to-left mark":     "a\u200fb",
	"a line feed":              "a\nFORGED  LINE",
	"a carriage return":        "a\rFORGED",
	"a vertical tab":           "a\x0bb\x0cc",
	"a line separator":         "a\u2028FORGED\u2029FORGED",
	"a backspace":              "failed\b\b\b\b\b\bok",
	"a delete":                 "a\x7fb",
	"a NUL":                    "a\x00b",
	"a bell":                   "\a",
	"shifted out":              "\x0ea\x0f",
	"a zero width":             "a\u200b\u200d\ufeffb",
	"a tag":                    "a\U000e0041b",
	"a filler":                 "\u3164\u115f\uffa0",
	"a variation":              "a\ufe0fb",
	"no UTF-8":                 "a\xff\xc0\x9b2J",
	"half a character":         "a\xe2\x80",
	"private":                  "\ue000\U000f0000",
}

// wantText fails if what is printed does more than text does.
func wantText(t *testing.T, what, printed string) {
	t.Helper()
	for _, r := range printed {
		if r == utf8.RuneError || r != '\n' && !isText(r) {
			t.Errorf("%s prints %U:\n%q", what, r, printed)
			return
		}
	}
	if strings.Contains(printed, "\nFORGED") {
		t.Errorf("%s forges a line:\n%s", what, printed)
	}
}

func TestPrintableTextIsText(t *testing.T) {
	for name, text := range hostileTexts {
		for _, once := range []string{printableText(text), printableName(text), printablePassage(text)} {
			wantText(t, name, once)
			if strings.Contains(once, "\n") || printableText(once) != once {
				t.Errorf("%s: %q", name, once)
			}
		}
	}
	for _, text := range []string{"", "plain", `C:\x`, "Grüße, 世界", "a b", `say "no"`, "…"} {
		if got := printableText(text); got != text {
			t.Errorf("%q is printed as %q", text, got)
		}
	}
	for _, long := range []string{strings.Repeat("a", 1<<20), strings.Repeat("\x1b", 1<<20), strings.Repeat("\u202e", 1<<18), strings.Repeat("a ", 1<<19)} {
		if n, m := len(printableName(long)), len(printablePassage(long)); n > 300 || m > 8<<10 {
			t.Errorf("a long text is printed with %d and %d bytes", n, m)
		}
	}
}

// What prints tables and indented lines lets nothing else through, whoever calls it.
func TestTablesAndLinesAreText(t *testing.T) {
	for name, text := range hostileTexts {
		for _, width := range []int{0, 20} {
			var out strings.Builder
			table := newColumnTable("STATE", "NAME")
			table.add(text, "a"+text)
			table.add("ok", strings.Repeat(text, 1<<10))
			table.write(&out, width, false)
			writeIndented(&out, text+" b "+text, width)
			writeIndented(&out, strings.Repeat(text, 1<<16), width)
			if printed := out.String(); strings.Count(printed, "\n") < 5 || len(printed) > 512<<10 {
				t.Errorf("%s: %d bytes", name, len(printed))
			}
			wantText(t, name, strings.ReplaceAll(out.String(), "…", ""))
		}
	}
}

// JSON for programs means what it meant, and can be looked at.
func TestJSONIsPrintedAsText(t *testing.T) {
	for name, text := range hostileTexts {
		for what, write := range map[string]func(*bytes.Buffer, any) error{
			"printJSON":     func(to *bytes.Buffer, value any) error { return printJSON(to, value) },
			"printJSONLine": func(to *bytes.Buffer, value any) error { return printJSONLine(to, value) },
		} {
			var out bytes.Buffer
			if err := write(&out, map[string][]string{text: {text, "<Grüße>"}}); err != nil {
				t.Fatal(err)
			}
			wantText(t, name+" by "+what, strings.ReplaceAll(out.String(), string(utf8.RuneError), ""))
			var back map[string][]string
			want := strings.ToValidUTF8(strings.ReplaceAll(text, "\xff\xc0\x9b", strings.Repeat("\ufffd", 3)), "\ufffd\ufffd")
			if err := json.Unmarshal(out.Bytes(), &back); err != nil || len(back) != 1 || !strings.Contains(out.String(), "<Grüße>") {
				t.Errorf("%s: %v\n%s", name, err, out.String())
			} else if got := back[want]; len(got) != 2 || got[0] != want {
				t.Errorf("%s: %q is %q", name, want, back)
			}
		}
	}
}
