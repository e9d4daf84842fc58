package cmd

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// commandGoldens runs the command line that each golden file of a directory
// begins with, in that directory and with a file of it as standard input. The
// rest of the file is what the command prints, its errors marked with "! ", and
// its exit code. LANYARD_UPDATE_GOLDEN=1 writes the files anew.
func commandGoldens(t *testing.T, directory, input string) {
	t.Chdir(directory)
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
			stdin, err := os.Open(input)
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

// TestSealTellsWhatIsWrongInFiles shows what people read when a file of many
// values, or a key, is not what it should be; none of it is a value.
func TestSealTellsWhatIsWrongInFiles(t *testing.T) {
	commandGoldens(t, "testdata/seal", "wrong.env")
}
