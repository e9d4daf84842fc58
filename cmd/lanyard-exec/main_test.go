package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestItCopiesItself(t *testing.T) {
	to := filepath.Join(t.TempDir(), "lanyard-exec")
	if code := run([]string{"--copy-to", to}); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	want, _ := os.ReadFile(own)
	got, err := os.ReadFile(to)
	info, _ := os.Stat(to)
	if err != nil || !bytes.Equal(got, want) || info.Mode().Perm() != 0o555 {
		t.Errorf("%v, %d bytes of %d, mode %v", err, len(got), len(want), info.Mode())
	}
	// Again, over what is there, and where nothing can be.
	if code := run([]string{"--copy-to", to}); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if code := run([]string{"--copy-to", filepath.Join(to, "x")}); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(to), ".*")); err != nil || len(left) != 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}
