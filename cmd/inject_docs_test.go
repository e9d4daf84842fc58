package cmd

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/server/inject"
)

// TestPagesHaveTheGoldenTablesOfInject holds the tables of annotations to the code.
func TestPagesHaveTheGoldenTablesOfInject(t *testing.T) {
	var own strings.Builder
	own.WriteString("| annotation | values | |\n|---|---|---|\n")
	for _, a := range inject.Annotations {
		fmt.Fprintf(&own, "| `%s` | %s | %s |\n", a.Name, a.Values, a.Meaning)
	}
	type place struct{ page, part string }
	parts := map[place]string{{"inject", "annotations"}: own.String()}
	pages := map[string]string{inject.VaultAgent: "migrate-from-vault-agent", inject.BankVaults: "migrate-from-secrets-webhook", inject.AKV: "migrate-from-secrets-webhook"}
	for _, table := range inject.Tables {
		parts[place{pages[table.Dialect], "answers of " + table.Dialect}] = answersTable(table)
	}
	for at, want := range parts {
		path := "../docs/" + at.page + ".md"
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		begin, end := "<!-- "+at.part+" -->\n", "<!-- end of "+at.part+" -->"
		before, rest, begun := strings.Cut(string(text), begin)
		have, after, ended := strings.Cut(rest, end)
		if !begun || !ended {
			t.Fatalf("%s has no part between %s and %s", path, begin, end)
		}
		if want = "\n" + want + "\n"; have == want {
			continue
		}
		if os.Getenv("LANYARD_UPDATE_GOLDEN") == "" {
			t.Errorf("%s: the part %s is not what it is made from; run make golden", path, at.part)
		} else if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func answersTable(t inject.Table) string {
	var b strings.Builder
	what := "variable"
	if len(t.Prefixes) > 0 {
		what = "annotation: `" + strings.Join(t.Prefixes, "` or `") + "` and"
	}
	fmt.Fprintf(&b, "| %s | here | |\n|---|---|---|\n", what)
	for _, a := range t.Answers {
		name, is := a.Name, a.Is
		if strings.HasSuffix(name, "-") {
			name += "NAME"
		}
		if a.Unless != "" {
			is += ", but for `" + a.Unless + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, is, a.Text)
	}
	return b.String()
}
