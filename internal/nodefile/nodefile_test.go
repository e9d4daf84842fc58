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

// volume is a file as the kubelet mounts it: by two links, the second of which it
// swaps at each change.
func volume(t *testing.T) string {
	t.Helper()
	directory := t.TempDir()
	data := filepath.Join(directory, "..2026_11_28")
	for _, err := range []error{
		os.Mkdir(data, 0o755),
		os.WriteFile(filepath.Join(data, "file"), []byte("content"), 0o644),
		os.Symlink(filepath.Base(data), filepath.Join(directory, "..data")),
		os.Symlink("..data/file", filepath.Join(directory, "file")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(directory, "file")
}

func TestFilesOfOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		return // nobody else can give a file away
	}
	path := put(t, 0o400)
	if err := os.Chown(path, 12345, -1); err != nil {
		t.Fatal(err)
	}
	for _, read := range []func(string, int64) ([]byte, error){nodefile.ReadTrusted, nodefile.ReadPrivate} {
		if _, err := read(path, 100); err == nil || !strings.Contains(err.Error(), "it belongs to user 12345") {
			t.Errorf("error %v", err)
		}
	}
}

func TestFilesThatAreRead(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(put(t, 0o600), link); err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]func() ([]byte, error){
		"public":                   func() ([]byte, error) { return nodefile.Read(put(t, 0o644), 100) },
		"exactly the most":         func() ([]byte, error) { return nodefile.Read(put(t, 0o644), 7) },
		"private":                  func() ([]byte, error) { return nodefile.ReadPrivate(put(t, 0o600), 100) },
		"private, read only":       func() ([]byte, error) { return nodefile.ReadPrivate(put(t, 0o400), 100) },
		"trusted, for all to read": func() ([]byte, error) { return nodefile.ReadTrusted(put(t, 0o644), 100) },
		"trusted, for a group to read, by a volume": func() ([]byte, error) { return nodefile.ReadTrusted(put(t, 0o440), 100) },
		"trusted, by the links of a volume":         func() ([]byte, error) { return nodefile.ReadTrusted(volume(t), 100) },
		"private, by a link":                        func() ([]byte, error) { return nodefile.ReadPrivate(link, 100) },
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
		"missing":                     {func() ([]byte, error) { return nodefile.Read("/nonexistent/file", 100) }, "/nonexistent/file"},
		"directory":                   {func() ([]byte, error) { return nodefile.Read(t.TempDir(), 100) }, "not a regular file"},
		"pipe that nobody writes to":  {func() ([]byte, error) { return nodefile.Read(pipe, 100) }, "not a regular file"},
		"too large":                   {func() ([]byte, error) { return nodefile.Read(put(t, 0o644), 6) }, "larger than 6 bytes"},
		"trusted, written by a group": {func() ([]byte, error) { return nodefile.ReadTrusted(put(t, 0o664), 100) }, "chmod go-w"},
		"trusted, written by others":  {func() ([]byte, error) { return nodefile.ReadTrusted(put(t, 0o646), 100) }, "chmod go-w"},
		"trusted pipe":                {func() ([]byte, error) { return nodefile.ReadTrusted(pipe, 100) }, "not a regular file"},
		"device":                      {func() ([]byte, error) { return nodefile.ReadTrusted("/dev/zero", 100) }, "not a regular file"},
		"private, for the group":      {func() ([]byte, error) { return nodefile.ReadPrivate(put(t, 0o640), 100) }, "chmod 600"},
		"private, for all":            {func() ([]byte, error) { return nodefile.ReadPrivate(put(t, 0o604), 100) }, "chmod 600"},
		"private, written by others":  {func() ([]byte, error) { return nodefile.ReadPrivate(put(t, 0o602), 100) }, "chmod 600"},
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
