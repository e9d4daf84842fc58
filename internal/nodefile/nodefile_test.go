package nodefile_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/lanyardhq/lanyard/internal/nodefile"
)

// put writes a file with the content "content" and the mode.
func put(t *testing.T, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("content"), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFilesThatAreRead(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(put(t, 0o600), link); err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]func() ([]byte, error){
		"public":             func() ([]byte, error) { return nodefile.Read(put(t, 0o644), 100) },
		"exactly the most":   func() ([]byte, error) { return nodefile.Read(put(t, 0o644), 7) },
		"private":            func() ([]byte, error) { return nodefile.ReadPrivate(put(t, 0o600), 100) },
		"private, read only": func() ([]byte, error) { return nodefile.ReadPrivate(put(t, 0o400), 100) },
		"private, by a link": func() ([]byte, error) { return nodefile.ReadPrivate(link, 100) },
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := read(); err != nil || string(got) != "content" {
				t.Errorf("read %q, %v", got, err)
			}
		})
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		read func() ([]byte, error)
		want string
	}{
		"missing":                    {func() ([]byte, error) { return nodefile.Read("/nonexistent/file", 100) }, "/nonexistent/file"},
		"directory":                  {func() ([]byte, error) { return nodefile.Read(t.TempDir(), 100) }, "not a regular file"},
		"pipe that nobody writes to": {func() ([]byte, error) { return nodefile.Read(pipe, 100) }, "not a regular file"},
		"too large":                  {func() ([]byte, error) { return nodefile.Read(put(t, 0o644), 6) }, "larger than 6 bytes"},
		"private, for the group":     {func() ([]byte, error) { return nodefile.ReadPrivate(put(t, 0o640), 100) }, "chmod 600"},
		"private, for all":           {func() ([]byte, error) { return nodefile.ReadPrivate(put(t, 0o604), 100) }, "chmod 600"},
		"private, written by others": {func() ([]byte, error) { return nodefile.ReadPrivate(put(t, 0o602), 100) }, "chmod 600"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := test.read()
			if err == nil || len(got) != 0 || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("read %d bytes, error %v, want one with %q", len(got), err, test.want)
			}
			if strings.Contains(err.Error(), "content") {
				t.Errorf("the error %q shows the content", err)
			}
		})
	}
}
