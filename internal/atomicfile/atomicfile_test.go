package atomicfile_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/internal/atomicfile"
)

func write(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func holds(t *testing.T, path, want string, mode fs.FileMode) {
	t.Helper()
	data, err := os.ReadFile(path)
	info, statErr := os.Stat(path)
	if err != nil || statErr != nil || string(data) != want || info.Mode().Perm() != mode {
		t.Errorf("%s holds %q with mode %v, %v; want %q and %v", path, data, info.Mode().Perm(), err, want, mode)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".lanyard-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestCreateNeverReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := atomicfile.Create(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Create(path, []byte("newer"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created over a file: %v", err)
	}
	holds(t, path, "new", 0o600)
}

func TestReplaceKeepsModeAndLinks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "old", 0o640)
	link := filepath.Join(filepath.Dir(path), "link")
	if err := os.Symlink("f", link); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Replace(link, []byte("new"), 0); err != nil {
		t.Fatal(err)
	}
	holds(t, path, "new", 0o640)
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link became %v, %v", info.Mode(), err)
	}
	if err := atomicfile.Replace(path, []byte("newer"), 0o600); err != nil {
		t.Fatal(err)
	}
	holds(t, path, "newer", 0o600)
}

func TestReplaceUnchangedLeavesWhatOthersWrote(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "theirs", 0o644)
	if err := atomicfile.ReplaceUnchanged(path, []byte("read before"), []byte("ours")); !errors.Is(err, atomicfile.ErrChanged) {
		t.Errorf("error %v", err)
	}
	holds(t, path, "theirs", 0o644)
	if err := atomicfile.ReplaceUnchanged(path, []byte("theirs"), []byte("ours")); err != nil {
		t.Error(err)
	}
	holds(t, path, "ours", 0o644)
}

func TestWriteOwnedWritesAFileOfItsOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, content := range []string{"one", "one", "two"} {
		if err := atomicfile.WriteOwned(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		holds(t, path, content, 0o600)
	}
	before, err := os.Stat(path)
	if err := errors.Join(err, atomicfile.WriteOwned(path, []byte("two"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("a file that is as it should be is written again: %v", err)
	}
	if err := errors.Join(os.Chmod(path, 0o644), atomicfile.WriteOwned(path, []byte("two"), 0o600)); err != nil {
		t.Fatal(err)
	}
	holds(t, path, "two", 0o600)
}

func TestWriteOwnedRefusesWhatOthersPutInItsWay(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	write(t, in("target"), "theirs", 0o644)
	foreign := "/proc/version" // of root
	if os.Geteuid() == 0 {
		foreign = in("foreign")
		write(t, foreign, "theirs", 0o666)
		if err := os.Chown(foreign, 1234, 1234); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink("target", in("link")), os.Symlink("none", in("dangling")), os.Mkdir(in("folder"), 0o700), syscall.Mkfifo(in("pipe"), 0o666)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{in("link"): "not regular", in("dangling"): "not regular", in("folder"): "not regular", in("pipe"): "not regular", foreign: "another user"} {
		before, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := atomicfile.WriteOwned(path, []byte("planted"), 0o600); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "remove it") {
			t.Errorf("%s: error %v", path, err)
		}
		if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
			t.Errorf("%s was replaced: %v", path, err)
		}
	}
	if _, err := os.Lstat(in("none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file was made behind a link: %v", err)
	}
	holds(t, in("target"), "theirs", 0o644)
}

// Each adds one to a number in the file; without the lock some would be lost.
func TestLockLetsOneChangeTheFileAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "0", 0o600)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			unlock, err := atomicfile.Lock(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			defer unlock()
			data, err := os.ReadFile(path)
			if err != nil {
				t.Error(err)
			}
			n, err := strconv.Atoi(string(data))
			if err != nil {
				t.Error(err)
			}
			if err := atomicfile.Replace(path, []byte(strconv.Itoa(n+1)), 0); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	holds(t, path, "8", 0o600)
}

func TestLockGivesUpWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "", 0o600)
	unlock, err := atomicfile.Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := atomicfile.Lock(ctx, path); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "another process") {
		t.Errorf("error %v", err)
	}
	unlock()
	unlock, err = atomicfile.Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	if _, err := atomicfile.Lock(t.Context(), path+"none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// NFS locks no file that is open for reading only.
func TestLockHoldsTheFileOpenForWriting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "", 0o600)
	unlock, err := atomicfile.Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	open, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range open {
		if to, err := os.Readlink(fd); err != nil || to != path {
			continue
		}
		info, err := os.ReadFile("/proc/self/fdinfo/" + filepath.Base(fd))
		_, flags, found := strings.Cut(string(info), "flags:\t")
		flags, _, _ = strings.Cut(flags, "\n")
		if bits, parseErr := strconv.ParseUint(flags, 8, 32); err != nil || !found || parseErr != nil || bits&syscall.O_ACCMODE != syscall.O_RDWR {
			t.Errorf("it is open with flags %s, %v, %v", flags, err, parseErr)
		}
		return
	}
	t.Error("the file is not open")
}

func TestAFileThatMayOnlyBeReadIsLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "", 0o400)
	unlock, err := atomicfile.Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestWritersRemoveWhatKilledOnesLeft(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "[a]*")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	path, other := filepath.Join(folder, "ring.yaml"), filepath.Join(folder, "other.yaml")
	write(t, path, "old", 0o600)
	write(t, other, "old", 0o600)
	// A writer is killed once its file is locked; another one is at work.
	dead, err := atomicfile.CreateLocked(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	alive, err := atomicfile.CreateLocked(path)
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	foreign, err := atomicfile.CreateLocked(other)
	if err != nil {
		t.Fatal(err)
	}
	if err := foreign.Close(); err != nil {
		t.Fatal(err)
	}
	named := filepath.Join(folder, ".lanyard-notes")
	write(t, named, "mine", 0o600)

	if err := atomicfile.Replace(path, []byte("new"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dead.Name()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what a killed writer left is still there: %v", err)
	}
	for _, name := range []string{alive.Name(), foreign.Name(), named} {
		if _, err := os.Lstat(name); err != nil {
			t.Errorf("what somebody else has is gone: %v", err)
		}
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 5 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}
