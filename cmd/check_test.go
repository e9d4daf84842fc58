package cmd

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each golden file holds a command line, run in testdata/check with syntax.yaml
// as its standard input, what it prints, its errors marked with "! ", and its
// exit code. LANYARD_UPDATE_GOLDEN=1 writes them anew.
func TestCheckPrints(t *testing.T) {
	t.Chdir("testdata/check")
	goldens, err := filepath.Glob("*.golden")
	if err != nil || len(goldens) == 0 {
		t.Fatalf("%d golden files, %v", len(goldens), err)
	}
	for _, golden := range goldens {
		t.Run(strings.TrimSuffix(golden, ".golden"), func(t *testing.T) {
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			line, _, _ := strings.Cut(string(want), "\n")
			args, ok := strings.CutPrefix(line, "$ lanyard ")
			if !ok {
				t.Fatalf("%s does not begin with a command line", golden)
			}
			stdin, err := os.Open("syntax.yaml")
			if err != nil {
				t.Fatal(err)
			}
			defer stdin.Close()

			var out, errors bytes.Buffer
			code := Execute(strings.Fields(args), stdin, &out, &errors)
			got := line + "\n" + out.String()
			for text := range strings.Lines(errors.String()) {
				got += "! " + text
			}
			got += fmt.Sprintf("exit %d\n", code)
			if os.Getenv("LANYARD_UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want) {
				t.Errorf("printed\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestCheckRefusesAHugeFile(t *testing.T) {
	huge := filepath.Join(t.TempDir(), "huge.yaml")
	if err := os.WriteFile(huge, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, mostManifestBytes+1); err != nil {
		t.Fatal(err)
	}
	var out, errors bytes.Buffer
	if code := Execute([]string{"check", huge}, strings.NewReader(""), &out, &errors); code != exitUsage || !strings.Contains(errors.String(), "is larger than 16 MiB") {
		t.Errorf("exit %d, %s", code, errors.String())
	}
}
