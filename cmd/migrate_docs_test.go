package cmd

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
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

// The pages prescribe lanyard check --config on the machine where the configuration is
// written, which has none of the node's files.
func TestCheckCommandsOfThePagesPass(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	configurations := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "lanyard check --config lanyard.yaml") {
			continue
		}
		var classes []string
		var configuration []byte
		for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1) {
			var values struct {
				Config map[string]any `yaml:"config"`
			}
			switch err := yaml.Unmarshal(block[1], &values); {
			case strings.Contains(string(block[1]), "kind: SecretProviderClass"):
				classes = append(classes, string(block[1]))
			case err == nil && values.Config != nil && configuration == nil:
				if configuration, err = yaml.Marshal(values.Config); err != nil {
					t.Fatal(err)
				}
			}
		}
		if configuration == nil {
			continue
		}
		configurations++
		t.Run(filepath.Base(page), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "lanyard.yaml")
			if err := os.WriteFile(file, configuration, 0o600); err != nil {
				t.Fatal(err)
			}
			check := func(class string, args ...string) {
				var out, errors bytes.Buffer
				if code := Execute(append([]string{"check", "--config", file}, args...), strings.NewReader(class), &out, &errors); code != exitOK {
					t.Errorf("check of\n%s\nunder\n%s\nprints\n%s%s", class, configuration, out.String(), errors.String())
				}
			}
			check("")
			if len(classes) > 0 {
				check(classes[0], "-")
			}
		})
	}
	if configurations < 4 {
		t.Errorf("%d pages have a configuration and the command", configurations)
	}
}
