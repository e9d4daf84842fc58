package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPinTellsWhatItWouldDo shows what people read for each dialect, and what is refused.
func TestPinTellsWhatItWouldDo(t *testing.T) {
	commandGoldens(t, "testdata/pin", "classes.yaml")
}

func TestPinWritesTheFileInPlace(t *testing.T) {
	text, err := os.ReadFile("testdata/pin/classes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for class, test := range map[string]struct{ object, version, want string }{
		"web":   {"db/password", "3", `version: "3"`},
		"vault": {"db", "7", `"secret/data/db?version=7"   # path`},
		"aws":   {"db", "EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE", `{objectVersion: "EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE", objectName: prod/db2}`},
		"azure": {"db", "4387e9f3d6e14c459867679a90fd0f79", `objectVersion: "4387e9f3d6e14c459867679a90fd0f79"    # latest`},
		"gcp":   {"db", "3", `"projects/shop/secrets/db/versions/3"`},
	} {
		// UTF-16 too, as Windows writes it.
		for _, before := range [][]byte{text, inUTF16(string(text))} {
			t.Run(class, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "class.yaml")
				if err := os.WriteFile(path, before, 0o640); err != nil {
					t.Fatal(err)
				}
				read := func() []byte {
					t.Helper()
					got, err := os.ReadFile(path)
					if err != nil {
						t.Fatal(err)
					}
					return got
				}
				if code, stdout, stderr := runLanyard("pin", path, test.object, "--class", class, "--version", test.version); code != exitOK || stdout != "" {
					t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
				}
				if got := strings.ReplaceAll(string(read()), "\x00", ""); !strings.Contains(got, test.want) {
					t.Errorf("pinned, the file has no %s:\n%s", test.want, got)
				}
				if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
					t.Errorf("%v, %v", info.Mode(), err)
				}
				if code, _, stderr := runLanyard("pin", path, test.object, "--class", class, "--unpin"); code != exitOK {
					t.Fatalf("exit code %d: %s", code, stderr)
				}
				if string(read()) != string(before) {
					t.Errorf("unpinned, the file is\n%s", read())
				}
			})
		}
	}
}

// inUTF16 is a text of ASCII in UTF-16 with its mark.
func inUTF16(text string) []byte {
	encoded := []byte{0xff, 0xfe}
	for i := range len(text) {
		encoded = append(encoded, text[i], 0)
	}
	return encoded
}

func TestEveryDialectCanPin(t *testing.T) {
	e, err := loadEngine("")
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for name := range dialects(e.dialectSettings) {
		if pins[name].Edits == nil {
			t.Errorf("provider %s has no way to name versions", name)
		}
	}
}
