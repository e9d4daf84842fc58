package cmd

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConvertPrints(t *testing.T) { commandGoldens(t, "testdata/convert", "web.yaml") }

// The directories of a dialect's testdata each hold a class and what it is
// converted to under the configuration beside them. That both make the same
// files is shown in integration/dialects. LANYARD_UPDATE_GOLDEN=1 writes the
// native classes anew.
func TestConvertMakesTheNativeClassesOfEachDialect(t *testing.T) {
	var classes []string
	for dialect := range dialects(nil) {
		found, err := filepath.Glob("../provider/dialect/" + dialect + "/testdata/*/class.yaml")
		if err != nil {
			t.Fatal(err)
		}
		classes = append(classes, found...)
	}
	if len(classes) == 0 {
		t.Fatal("there are no classes")
	}
	for _, class := range classes {
		t.Run(strings.TrimPrefix(filepath.Dir(class), "../provider/dialect/"), func(t *testing.T) {
			convert := func(path string) string {
				var out, errors bytes.Buffer
				args := []string{"convert", path}
				if config := filepath.Join(filepath.Dir(filepath.Dir(class)), "lanyard.yaml"); exists(config) {
					args = append(args, "--config", config)
				}
				if code := Execute(args, strings.NewReader(""), &out, &errors); code != exitOK {
					t.Fatalf("exit %d, %s", code, errors.String())
				}
				return out.String()
			}
			native := filepath.Join(filepath.Dir(class), "native.yaml")
			got := convert(class)
			if os.Getenv("LANYARD_UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(native, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(native)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("converted to\n%s\nwant\n%s", got, want)
			}
			if again := convert(native); again != got {
				t.Errorf("a native class is changed to\n%s", again)
			}
		})
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
