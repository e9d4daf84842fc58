package cmd

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/manifest"
)

func TestCheckPrints(t *testing.T) { commandGoldens(t, "testdata/check", "syntax.yaml") }

func TestCheckRefusesAHugeFile(t *testing.T) {
	huge := filepath.Join(t.TempDir(), "huge.yaml")
	if err := os.WriteFile(huge, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, manifest.MaxBytes+1); err != nil {
		t.Fatal(err)
	}
	var out, errors bytes.Buffer
	if code := Execute([]string{"check", huge}, strings.NewReader(""), &out, &errors); code != exitUsage || !strings.Contains(errors.String(), "has more than 64 MiB") {
		t.Errorf("exit %d, %s", code, errors.String())
	}
}
