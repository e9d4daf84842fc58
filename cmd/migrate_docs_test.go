package cmd

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every class on the pages about other providers is one that check accepts, and
// a native one is what convert makes of the class before it.
func TestClassesOnMigrationPagesAreValid(t *testing.T) {
	pages, err := filepath.Glob("../docs/migrate-from-*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, page := range pages {
		t.Run(filepath.Base(page), func(t *testing.T) {
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			file, converted := filepath.Join(t.TempDir(), "class.yaml"), ""
			for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1) {
				class := string(block[1])
				if !strings.Contains(class, "kind: SecretProviderClass") {
					continue
				}
				if err := os.WriteFile(file, block[1], 0o600); err != nil {
					t.Fatal(err)
				}
				var out, errors bytes.Buffer
				if code := Execute([]string{"check", file}, strings.NewReader(""), &out, &errors); code != exitOK {
					t.Errorf("check of\n%s\nprints\n%s%s", class, out.String(), errors.String())
				}
				if strings.Contains(class, "provider: lanyard") {
					if converted != "" && class != converted {
						t.Errorf("the page has\n%s\nwhere convert makes\n%s", class, converted)
					}
					converted = ""
					continue
				}
				out.Reset()
				if code := Execute([]string{"convert", file}, strings.NewReader(""), &out, &errors); code != exitOK {
					t.Errorf("convert of\n%s\nprints\n%s", class, errors.String())
				}
				converted = out.String()
			}
		})
	}
}
