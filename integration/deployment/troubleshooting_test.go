package deployment

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/integration/checkout"
)

var verb = regexp.MustCompile(`%[-+# 0]*(?:[0-9]+|\*)?(?:\.[0-9]+)?[a-zA-Z]`)

// texts are all texts in the Go files below some directories, tests excepted.
// Texts that are added together are one, and what is filled in is "…".
func texts(t *testing.T, directories ...string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, directory := range directories {
		err := filepath.WalkDir(directory, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "storetest") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(node ast.Node) bool {
				if call, ok := node.(*ast.CallExpr); ok {
					if text := throttled(call); text != "" {
						found[filled(text)] = true
					}
				}
				if expression, ok := node.(ast.Expr); ok {
					if text := folded(expression); text != "" {
						found[filled(text)] = true
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(found) < 100 {
		t.Fatalf("only %d texts were found in %v", len(found), directories)
	}
	return found
}

// throttled is the text that a call of fault.Throttledf makes; empty for another call.
func throttled(call *ast.CallExpr) string {
	name, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || name.Sel.Name != "Throttledf" || len(call.Args) < 2 {
		return ""
	}
	return cmp.Or(folded(call.Args[0]), "%v") + " is throttling (too many calls): " + cmp.Or(folded(call.Args[1]), "%v")
}

// folded is the text of an expression, with "%v" for what is no constant; empty
// if it holds no text at all.
func folded(expression ast.Expr) string {
	switch e := expression.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			text, _ := strconv.Unquote(e.Value)
			return text
		}
	case *ast.BinaryExpr:
		left, right := folded(e.X), folded(e.Y)
		if e.Op != token.ADD || left == "" && right == "" {
			return ""
		}
		if left == "" {
			left = "%v"
		}
		if right == "" {
			right = "%v"
		}
		return left + right
	}
	return ""
}

// filled is a format with "…" for each run of what is filled in, and without the
// backquotes around native fields, which a message has not.
func filled(format string) string {
	format = strings.ReplaceAll(format, "`", "")
	text := verb.ReplaceAllString(strings.ReplaceAll(format, `"%s"`, "%s"), "…")
	return regexp.MustCompile(`…(?:/?…)+`).ReplaceAllString(text, "…")
}

func TestTroubleshootingQuotesTextsThatThereAre(t *testing.T) {
	page := string(source(t, "docs/troubleshooting.md"))
	known := ownTexts(t)
	others := texts(t, filepath.Join(module(t, "sigs.k8s.io/secrets-store-csi-driver"), "pkg"), module(t, "k8s.io/pod-security-admission"),
		filepath.Join(module(t, "k8s.io/apiserver"), "pkg", "admission", "plugin", "resourcequota"))
	section, quoted := "", 0
	for line := range strings.Lines(page) {
		if title, found := strings.CutPrefix(line, "## "); found {
			section = strings.TrimSpace(title)
		}
		heading, found := strings.CutPrefix(line, "### `")
		if !found {
			continue
		}
		text, _, closed := strings.Cut(heading, "`")
		if !closed {
			t.Errorf("this heading does not end its quotation: %s", line)
		}
		quoted++
		if strings.HasSuffix(strings.TrimSpace(line), "at the socket directory") {
			continue // the kernel's words
		}
		ofOthers := section == "Said by the driver" || strings.HasPrefix(text, "violates PodSecurity") || strings.HasPrefix(text, "insufficient quota")
		if !holds(known, text) && !(ofOthers && holds(others, text)) {
			t.Errorf("no text of the source holds %q", text)
		}
	}
	if quoted < 40 {
		t.Errorf("only %d texts are quoted", quoted)
	}
	for _, said := range []string{"The driver finds another socket before this one; remove it if no provider uses it"} {
		if !strings.Contains(page, said) || !holds(known, said) {
			t.Errorf("the page and the source do not both hold %q", said)
		}
	}
}

// ownTexts are the texts of Lanyard's own source, with what the tests' servers
// say in the place of the clouds.
func ownTexts(t *testing.T) map[string]bool {
	t.Helper()
	var own []string
	for _, directory := range []string{"provider", "server", "cmd", "internal"} {
		path, err := checkout.Path(directory)
		if err != nil {
			t.Fatal(err)
		}
		own = append(own, path)
	}
	return texts(t, own...)
}

func holds(texts map[string]bool, quoted string) bool {
	for text := range texts {
		if strings.Contains(text, quoted) {
			return true
		}
	}
	return false
}

// module is where a module's source is.
func module(t *testing.T, path string) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", path).Output()
	directory := strings.TrimSpace(string(output))
	if err != nil || directory == "" {
		t.Fatalf("%s: %v", path, err)
	}
	if _, err := os.Stat(directory); err != nil {
		t.Fatal(err)
	}
	return directory
}
