package cmd

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/migration"
)

// TestMigrationPagesHaveTheGoldenTables holds the tables of the migration pages to the lists
// of what each original reads, and the plan that they show to what the command prints.
func TestMigrationPagesHaveTheGoldenTables(t *testing.T) {
	for _, o := range migration.Originals() {
		t.Run(o.Provider, func(t *testing.T) {
			path := "../docs/migrate-from-" + o.Provider + ".md"
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			page := string(text)
			parts := o.Tables()
			_, stdout, stderr := runLanyard("migrate", "plan", "--file", "testdata/migrate/"+o.Provider+"-default.yaml")
			if stderr != "" {
				stderr = strings.TrimRight("\n"+stderr, "\n") + "\n"
			}
			parts["plan"] = "```text\n" + stdout + stderr + "```\n"
			for name, want := range parts {
				begin, end := "<!-- "+name+": ", "<!-- end of "+name+" -->"
				before, rest, begun := strings.Cut(page, begin)
				marker, rest, _ := strings.Cut(rest, "-->\n")
				have, after, ended := strings.Cut(rest, end)
				if !begun || !ended {
					t.Errorf("%s has no part between %s and %s", path, begin, end)
					continue
				}
				want = "\n" + want + "\n"
				if have != want && os.Getenv("LANYARD_UPDATE_GOLDEN") == "" {
					t.Errorf("%s: the part %s is not what it is made from; run make golden. It should be%s", path, name, want)
				}
				page = before + begin + marker + "-->\n" + want + end + after
			}
			if os.Getenv("LANYARD_UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(path, []byte(page), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if versions := fmt.Sprintf("up to %s", o.Version[:strings.LastIndex(o.Version, ".")]); !strings.Contains(strings.ReplaceAll(page, "\n", " "), versions) {
				t.Errorf("%s does not say %q, which the lists are for", path, versions)
			}
		})
	}
}
