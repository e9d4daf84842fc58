package cmd_test

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// aClass is a class that needs no store. Every input below holds it, or something
// like it, in one of the ways in which classes stand in files.
const aClass = `apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata:
  name: web
  namespace: shop
spec:
  provider: lanyard
  parameters:
    objects: |
      - path: a
        template: x
`

const aJSON = `{"apiVersion":"secrets-store.csi.x-k8s.io/v1","kind":"SecretProviderClass","metadata":{"name":"web","namespace":"shop"},` +
	`"spec":{"provider":"lanyard","parameters":{"objects":"- path: a\n  template: x\n"}}}`

// indented puts a text below a key or a dash.
func indented(text string) string {
	return strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ") + "\n"
}

// inUTF16 is the text in UTF-16 of this order.
func inUTF16(order binary.AppendByteOrder, mark bool, text string) string {
	if mark {
		text = "\ufeff" + text
	}
	var data []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		data = order.AppendUint16(data, unit)
	}
	return string(data)
}

// walkerInputs are files in every form in which people keep classes. Each holds the
// class web and nothing else that counts, or no class, or cannot be read.
var walkerInputs = []struct {
	name, data string
	none       bool   // there is no class in it
	wrong      string // what every command tells of it
	flow       bool   // what is written in braces is not edited in place
}{
	{name: "plain", data: aClass},
	{name: "other version", data: strings.Replace(aClass, "/v1\n", "/v1alpha1\n", 1)},
	{name: "CRLF", data: strings.ReplaceAll(aClass, "\n", "\r\n")},
	{name: "no line end", data: strings.TrimSuffix(aClass, "\n")},
	{name: "UTF-8 with a mark", data: "\ufeff" + aClass},
	{name: "UTF-16 LE", data: inUTF16(binary.LittleEndian, true, aClass)},
	{name: "UTF-16 BE, CRLF", data: inUTF16(binary.BigEndian, true, strings.ReplaceAll(aClass, "\n", "\r\n"))},
	{name: "a comment before", data: "# é is a letter\n" + aClass},
	{name: "begun and ended", data: "%YAML 1.1\n---\n" + aClass + "...\n"},
	{name: "after another kind", data: "kind: ConfigMap\napiVersion: v1\ndata: {a: kind SecretProviderClass}\n---\n" + aClass},
	{name: "between empty documents", data: "---\n---\n" + aClass + "---\n# nothing\n---\n"},
	{name: "beside another group", data: "apiVersion: example.com/v1\nkind: SecretProviderClass\nmetadata: {name: web, namespace: shop}\n---\n" + aClass},
	{name: "List", data: "apiVersion: v1\nkind: List\nitems:\n- " + indented(aClass)},
	{name: "SecretProviderClassList", data: "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClassList\nitems:\n- " + indented(aClass)},
	{name: "List in a List", data: "kind: List\nitems:\n- kind: List\n  items:\n  - " + strings.ReplaceAll(indented(aClass), "\n  ", "\n    ")},
	{name: "List with another kind", data: "kind: List\nitems:\n- {kind: Pod}\n- " + indented(aClass)},
	{name: "JSON", data: aJSON, flow: true},
	{name: "JSON with a mark", data: "\ufeff" + aJSON, flow: true},
	{name: "JSON List", data: `{"kind":"List","items":[` + aJSON + `]}`, flow: true},
	{name: "JSON in UTF-16", data: inUTF16(binary.LittleEndian, true, aJSON), flow: true},

	{name: "another group", data: strings.Replace(aClass, "secrets-store.csi.x-k8s.io", "example.com", 1), none: true},
	{name: "another kind", data: strings.Replace(aClass, "kind: Secret", "kind: NotSecret", 1), none: true},
	{name: "comments alone", data: "# kind: SecretProviderClass\n", none: true},
	{name: "nothing", data: "", none: true},
	{name: "an empty List", data: "kind: List\nitems: []\n", none: true},

	{name: "UTF-16 without a mark", data: inUTF16(binary.LittleEndian, false, aClass), wrong: "without a byte order mark; save it as UTF-8"},
	{name: "half of UTF-16", data: inUTF16(binary.BigEndian, true, aClass) + "x", wrong: "breaks off or holds half of a character"},
	{name: "half of a character", data: "\xff\xfe" + "\x00\xd8", wrong: "breaks off or holds half of a character"},
	{name: "UTF-32", data: "\xff\xfe\x00\x00k\x00\x00\x00", wrong: "is UTF-32 text"},
	{name: "Latin-1", data: "# caf\xe9\n" + aClass, wrong: "is not UTF-8 text"},
	{name: "tabs", data: strings.ReplaceAll(aClass, "\n  ", "\n\t"), wrong: "text begins with a tab"},
	{name: "a broken document after it", data: aClass + "---\na: [\n", wrong: "is not valid YAML"},
	{name: "a broken document before it", data: "a: b: c\n---\n" + aClass, wrong: "a colon stands where no field can begin"},
	{name: "no group", data: strings.Replace(aClass, "secrets-store.csi.x-k8s.io/v1", "v1", 1), wrong: "apiVersion: must be secrets-store.csi.x-k8s.io/v1"},
	{name: "no group in JSON", data: strings.Replace(aJSON, "secrets-store.csi.x-k8s.io/v1", "v1", 1), wrong: "apiVersion: must be secrets-store.csi.x-k8s.io/v1"},
	{name: "no group in a List", data: "kind: List\nitems:\n- " + strings.Replace(indented(aClass), "secrets-store.csi.x-k8s.io/v1", "v1", 1), wrong: "apiVersion: must be secrets-store.csi.x-k8s.io/v1"},
	{name: "no version at all", data: strings.TrimPrefix(aClass, "apiVersion: secrets-store.csi.x-k8s.io/v1\n"), wrong: "apiVersion: must be secrets-store.csi.x-k8s.io/v1"},
	{name: "a version that is not served", data: strings.Replace(aClass, "/v1\n", "/v2\n", 1), wrong: "apiVersion: must be secrets-store.csi.x-k8s.io/v1"},
	{name: "a field twice", data: strings.Replace(aClass, "kind:", "kind: SecretProviderClass\nkind:", 1), wrong: "kind"},
}

// Whatever reads classes finds the same ones in the same input, or tells of the same
// mistake: from a file, from a folder and from standard input.
func TestEveryCommandFindsTheSameClasses(t *testing.T) {
	bench := newSealBench(t)
	value := filepath.Join(bench.dir, "value")
	if err := os.WriteFile(value, []byte("v"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, input := range walkerInputs {
		t.Run(input.name, func(t *testing.T) {
			b := bench.in(t)
			folder := t.TempDir()
			file := filepath.Join(folder, "web.yaml")
			if err := os.WriteFile(file, []byte(input.data), 0o600); err != nil {
				t.Fatal(err)
			}
			expect := func(found string, args ...string) {
				t.Helper()
				stdin := ""
				if slices.Contains(args, "-") {
					stdin = input.data
				}
				code, stdout, stderr := b.run(stdin, args...)
				told := strings.ReplaceAll(stdout+stderr, "\x00", "") // UTF-16 too
				switch {
				case strings.Contains(told, "save it as UTF-8") && code != 2:
					t.Errorf("lanyard %q: exit %d, want 2 for what is no text\n%s", args, code, told)
				case input.wrong != "":
					if code == 0 || !strings.Contains(told, input.wrong) {
						t.Errorf("lanyard %q: exit %d, want %q told\n%s", args, code, input.wrong, told)
					}
				case input.none:
					if code == 0 || !strings.Contains(told, "no SecretProviderClass") {
						t.Errorf("lanyard %q: exit %d, want no class to be found\n%s", args, code, told)
					}
				case code != 0 || !strings.Contains(told, found):
					t.Errorf("lanyard %q: exit %d, want %q\n%s", args, code, found, told)
				}
			}
			for _, from := range []string{file, "-"} {
				expect("1 class checked, no problems", "check", from)
				expect("native classes only", "convert", from)
				expect("a", "mount", from, "--namespace", "shop", "--service-account", "web")
			}
			if input.wrong == "" || input.name != "UTF-32" && input.name != "half of a character" && input.name != "UTF-16 without a mark" {
				// These mention no class in a way that bytes show, so that a folder passes over them.
				expect("1 class checked, no problems", "check", folder)
			}
			if input.flow && input.wrong == "" {
				expect = func(_ string, args ...string) {
					t.Helper()
					if code, _, stderr := b.run(input.data, args...); code == 0 || !strings.Contains(stderr, "instead of {...}") && !strings.Contains(stderr, "not a literal block") {
						t.Errorf("lanyard %q: exit %d: %s", args, code, stderr)
					}
				}
			}
			seal := []string{"seal", "--public", b.public, "--namespace", "shop", "--service-account", "web", "--path", "b", "--file", value, "--merge-into"}
			expect("path: b", append(seal, "-")...)
			expect("", append(seal, file)...)
			if !input.none && input.wrong == "" && !input.flow {
				data, err := os.ReadFile(file)
				if err != nil || !strings.HasPrefix(string(data), input.data[:4]) {
					t.Errorf("the file's encoding changed: %q, %v", data[:4], err)
				}
				b.must("", "check", file)
			}
		})
	}
}

// reseal reads templates of charts too, which are not quite YAML, so that it has no
// mistakes of YAML to tell of. The classes and encodings are the same.
func TestResealFindsTheSameClasses(t *testing.T) {
	bench := newSealBench(t)
	text := strings.TrimSpace(bench.must("v", "seal", "--public", bench.public, "--namespace", "shop", "--service-account", "web", "--name", "a"))
	bench.must("", "keygen", "--rotate", "--out", bench.ring, "--public-out", bench.public)
	for _, input := range walkerInputs {
		if input.none || input.wrong != "" && !strings.Contains(input.wrong, "UTF-8") && !strings.Contains(input.wrong, "half") {
			continue
		}
		t.Run(input.name, func(t *testing.T) {
			b := bench.in(t)
			file := filepath.Join(t.TempDir(), "web.yaml")
			data := strings.ReplaceAll(input.data, "template: x", "sealed: "+text)
			for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
				data = strings.ReplaceAll(data, inUTF16(order, false, "template: x"), inUTF16(order, false, "sealed: "+text))
			}
			if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
				t.Fatal(err)
			}
			_, stdout, stderr := b.run("", "reseal", "--key-ring", b.ring, "--public", b.public, "--output", "json", file)
			var report struct {
				Files []struct {
					Problem string
					Written bool
					Values  []struct{ Class, Object, State string }
				}
			}
			if err := json.Unmarshal([]byte(stdout), &report); err != nil || len(report.Files) != 1 {
				t.Fatalf("%s%s", stdout, stderr)
			}
			got := report.Files[0]
			if input.wrong != "" {
				if !strings.Contains(got.Problem, input.wrong) {
					t.Errorf("problem %q, want %q", got.Problem, input.wrong)
				}
				return
			}
			if !got.Written || len(got.Values) != 1 || got.Values[0].Class != "web" || got.Values[0].Object != "a" || got.Values[0].State != "resealed" {
				t.Errorf("reseal found %+v", got)
			}
			after, err := os.ReadFile(file)
			if err != nil || len(after) != len(data) || string(after[:4]) != data[:4] {
				t.Errorf("the file has %d bytes %q, want %d in the same encoding; %v", len(after), after[:4], len(data), err)
			}
		})
	}
}
