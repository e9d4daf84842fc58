package cmd_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/lanyardhq/lanyard/provider/manifest/reseal"
)

// walkedClass is a class of one object, which the field makes.
func walkedClass(name, field string) string {
	return "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata:\n  name: " + name +
		"\n  namespace: prod\nspec:\n  provider: lanyard\n  parameters:\n    objects: |\n      - path: note\n        " + field + "\n"
}

// inUTF16 is a text in UTF-16, with a byte order mark unless mark is empty.
func inUTF16(text, mark string, order binary.AppendByteOrder) string {
	data := []byte(mark)
	for _, unit := range utf16.Encode([]rune(text)) {
		data = order.AppendUint16(data, unit)
	}
	return string(data)
}

func indentedBy(text, first, rest string) string {
	return first + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n"+rest) + "\n"
}

// walked is an input of the commands that read classes.
type walked struct {
	name, text string
	classes    string // which the input holds, between blanks
	problem    string // a part of the error that every command gives instead
}

// walkedInputs are inputs whose classes have one object, which the field makes.
func walkedInputs(field string) []walked {
	web, api := walkedClass("web", field), walkedClass("api", field)
	list := func(kind, items string) string { return "apiVersion: v1\nkind: " + kind + "\nitems:\n" + items }
	item := indentedBy(web, "- ", "  ")
	json := `{"apiVersion":"secrets-store.csi.x-k8s.io/v1","kind":"SecretProviderClass","metadata":{"name":"web","namespace":"prod"},"spec":{"provider":"lanyard","parameters":{"objects":"- path: note\n  ` + field + `\n"}}}`
	var bomb strings.Builder
	bomb.WriteString("a: &a [x, x, x, x, x, x, x, x, x]\n")
	for i := 'b'; i < 'k'; i++ {
		fmt.Fprintf(&bomb, "%c: &%c [%s*%c]\n", i, i, strings.Repeat("*"+string(i-1)+", ", 8), i-1)
	}
	return []walked{
		{"plain", web, "web", ""},
		{"List", list("List", item), "web", ""},
		{"SecretProviderClassList", list("SecretProviderClassList", item), "web", ""},
		{"List in List", list("List", indentedBy(list("List", item), "- ", "  ")), "web", ""},
		{"JSON", json, "web", ""},
		{"JSON with BOM", "\xef\xbb\xbf" + json, "web", ""},
		{"JSON List", `{"kind":"List","items":[` + json + `]}`, "web", ""},
		{"several documents", web + "---\nkind: Pod\n---\n" + api, "web api", ""},
		{"empty documents", "---\n---\n" + web + "---\n", "web", ""},
		{"empty", "", "", ""},
		{"comments only", "# SecretProviderClass\n", "", ""},
		{"marks with comments", "--- # first\n" + web + "...\n---\n# last\n", "web", ""},
		{"CRLF", strings.ReplaceAll(web, "\n", "\r\n"), "web", ""},
		{"UTF-8 BOM", "\xef\xbb\xbf" + web, "web", ""},
		{"UTF-16 LE", inUTF16(web, "\xff\xfe", binary.LittleEndian), "web", ""},
		{"UTF-16 BE", inUTF16(web, "\xfe\xff", binary.BigEndian), "web", ""},
		{"UTF-16 without BOM", inUTF16(web, "", binary.LittleEndian), "", "UTF-16 text without a byte order mark"},
		{"UTF-16 cut off", inUTF16(web, "\xff\xfe", binary.LittleEndian) + "x", "", "breaks off"},
		{"UTF-32", "\xff\xfe\x00\x00k\x00\x00\x00", "", "is UTF-32 text"},
		{"Latin-1", "# caf\xe9\n" + web, "", "is not UTF-8 text"},
		{"tabs", strings.Replace(web, "  name:", "\tname:", 1), "", "is not valid YAML"},
		{"kind given twice", strings.Replace(web, "kind:", "kind: Pod\nkind:", 1), "", ""},
		{"alias bomb", bomb.String() + "---\n" + web, "web", ""},
		{"wrong group", strings.Replace(web, "secrets-store.csi.x-k8s.io", "example.com", 1), "", ""},
		{"broken second document", web + "---\na: [\n", "", "is not valid YAML"},
		{"another kind that says it", "kind: ConfigMap\ndata:\n  text: SecretProviderClass\n", "", ""},
		{"two of one name", web + "---\n" + web, "web web", ""},
		{"hostile size", strings.Repeat("# SecretProviderClass\n", 64<<20/22+1), "", "has more than 64 MiB"},
	}
}

// TestEveryCommandFindsTheSameClasses holds the commands that read classes to one
// answer for each input, from a file and from standard input.
func TestEveryCommandFindsTheSameClasses(t *testing.T) {
	b := newSealBench(t)
	value := b.file("value", "v")
	for _, test := range walkedInputs("template: hello") {
		t.Run(test.name, func(t *testing.T) {
			b := b.in(t)
			for _, from := range []string{"class.yaml", "-"} {
				for _, args := range [][]string{
					{"check"},
					{"convert"},
					{"mount", "-n", "prod", "--service-account", "web"},
					{"seal", "--public", b.public, "--service-account", "web", "--path", "new", "--file", value, "--merge-into"},
				} {
					name, stdin := from, test.text
					if from != "-" {
						name, stdin = b.file(from, test.text), ""
					}
					code, stdout, stderr := b.run(stdin, append(args, name)...)
					if wrong := test.differs(args[0], code, stdout+stderr); wrong != "" {
						t.Errorf("lanyard %s %s: want %s, got exit code %d, %.200q, %.300q", args[0], name, wrong, code, stdout, stderr)
					}
				}
			}
		})
	}
}

// differs says what a command ought to have told; empty if it has.
func (w walked) differs(command string, code int, told string) string {
	classes := strings.Fields(w.classes)
	want, succeeds := w.problem, false
	switch {
	case w.problem != "":
	case len(classes) == 0:
		want = "no SecretProviderClass"
	case w.name == "two of one name" && (command == "check" || command == "convert"):
		want = "the class is given twice"
	case command == "check":
		want, succeeds = fmt.Sprintf("%d class", len(classes)), true
	case command == "convert":
		want, succeeds = "native classes only", true
	case len(classes) > 1:
		want = "--class: " + strings.Join(classes, ", ")
	case command == "seal" && strings.Contains(w.name, "JSON"):
		want = "is not written as a block" // found, and not to be edited
	case command == "seal" && w.name == "alias bomb":
		want = "cannot be put into this file" // found, and too large to compare when edited
	default:
		succeeds = true
		if want = ""; command == "mount" {
			want = "note"
		}
	}
	if succeeds == (code == 0) && strings.Contains(told, want) {
		return ""
	}
	return fmt.Sprintf("success %t, %q", succeeds, want)
}

func TestResealNamesTheSameClasses(t *testing.T) {
	b := newSealBench(t)
	sealed := strings.TrimSpace(b.must("v", "seal", "--public", b.public, "-n", "prod", "--service-account", "web", "--name", "note"))
	for _, test := range walkedInputs("sealed: " + sealed) {
		if test.problem == "is not valid YAML" {
			continue // reseal takes templates too, which need not be YAML
		}
		for _, from := range []string{b.file("class.yaml", test.text), "-"} {
			_, stdout, stderr := b.run(test.text, b.reseal("--dry-run", "-o", "json", from)...)
			var report reseal.Report
			if err := json.Unmarshal([]byte(stdout), &report); err != nil || len(report.Files) != 1 {
				t.Fatalf("%s: %v: %q, %q", test.name, err, stdout, stderr)
			}
			var classes []string
			for _, value := range report.Files[0].Values {
				if value.Class != "" {
					classes = append(classes, value.Class)
				}
			}
			if got := strings.Join(classes, " "); got != test.classes || !strings.Contains(report.Files[0].Problem, test.problem) {
				t.Errorf("%s, from %s: classes %q, want %q; problem %q, want %q", test.name, from, got, test.classes, report.Files[0].Problem, test.problem)
			}
		}
	}
}

func TestEditingKeepsUTF16(t *testing.T) {
	b := newSealBench(t)
	const mark = "\xff\xfe"
	value := b.file("value", "v")
	merge := []string{"seal", "--public", b.public, "--service-account", "web", "--path", "new", "--file", value, "--merge-into"}
	text := inUTF16(walkedClass("web", "template: hello"), mark, binary.LittleEndian)
	path := b.file("class.yaml", text)
	b.must("", append(merge, path)...)
	b.must("", "keygen", "--out", b.ring, "--rotate", "--public-out", b.public)
	outputs := map[string]string{
		"merged into a file":           b.read(path),
		"merged into standard input":   b.must(text, append(merge, "-")...),
		"resealed from standard input": b.must(b.read(path), b.reseal("-")...),
	}
	b.must("", b.reseal(path)...)
	outputs["resealed in a file"] = b.read(path)
	for name, got := range outputs {
		if !strings.HasPrefix(got, text) || len(got)%2 != 0 || !strings.Contains(got, inUTF16("sealed: lanyard.v1.", "", binary.LittleEndian)) {
			t.Errorf("%s: %.80q", name, got)
		}
		b.must(got, "check", "-")
	}
}

func TestMergeIntoStandardInputNeedsTheValueElsewhere(t *testing.T) {
	b := newSealBench(t)
	merge := []string{"seal", "--public", b.public, "--service-account", "web", "--merge-into", "-"}
	b.refused(2, "give the value in a file", "", append(merge, "--path", "new")...)
	b.refused(2, "give the value in a file", "", append(merge, "--from-env", "-")...)
	env := b.file(".env", "A=1\nB=2\n")
	if got := b.must(walkedClass("web", "template: hello"), append(merge, "--from-env", env)...); strings.Count(got, "sealed: lanyard.v1.") != 2 {
		t.Errorf("printed %q", got)
	}
}
