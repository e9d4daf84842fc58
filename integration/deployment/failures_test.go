package deployment

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/integration/checkout"
)

// errorTables are the first lines of tables whose rows begin with what an error
// says, in code.
var errorTables = regexp.MustCompile(`^\| (?:the error says|error|the event holds) \|`)

// TestTablesOfErrorsQuoteTextsThatThereAre holds the tables that
// docs/troubleshooting.md leads to against the source. What stands between two
// "…" may be one text of several that an error is made of.
func TestTablesOfErrorsQuoteTextsThatThereAre(t *testing.T) {
	known := ownTexts(t)
	for _, page := range pagesOfErrors(t) {
		quoted := 0
		for _, text := range quotedErrors(string(source(t, page))) {
			quoted++
			for piece := range strings.SplitSeq(text, "…") {
				piece = strings.Trim(piece, " :;,()")
				if piece != "" && !holds(known, piece) {
					t.Errorf("%s quotes %q, and no text of the source holds %q", page, text, piece)
				}
			}
		}
		if quoted < 5 {
			t.Errorf("%s quotes only %d texts", page, quoted)
		}
	}
}

// pagesOfErrors are the pages that have such tables, from the root.
func pagesOfErrors(t *testing.T) []string {
	t.Helper()
	pages := []string{"docs/troubleshooting.md", "docs/sealed-values.md", "docs/kms.md"}
	for _, directory := range []string{"stores", "keys"} {
		path, err := checkout.Path("docs", directory)
		if err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if filepath.Ext(entry.Name()) == ".md" {
				pages = append(pages, "docs/"+directory+"/"+entry.Name())
			}
		}
	}
	return pages
}

var inCode = regexp.MustCompile("`([^`]+)`")

// quotedErrors is all code in the first column of a page's tables of errors.
func quotedErrors(page string) (texts []string) {
	inside := false
	for line := range strings.Lines(page) {
		inside = errorTables.MatchString(line) || inside && strings.HasPrefix(line, "|")
		if !inside {
			continue
		}
		first, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " |")
		for _, code := range inCode.FindAllStringSubmatch(first, -1) {
			texts = append(texts, code[1])
		}
	}
	return texts
}
