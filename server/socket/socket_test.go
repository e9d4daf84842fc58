package socket

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func listen(t *testing.T, path string) *Listener {
	t.Helper()
	l, err := Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// temp is a directory as a node's is, whatever the umask of the test.
func temp(t *testing.T) string {
	t.Helper()
	directory := t.TempDir()
	must(t, os.Chmod(directory, 0o755))
	return directory
}

// stale leaves the socket of a process that is gone.
func stale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSocketIsTheOwnersAloneWhateverTheUmask(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077} {
		before := syscall.Umask(umask)
		l := listen(t, filepath.Join(temp(t), "lanyard.sock"))
		syscall.Umask(before)
		info, err := os.Lstat(l.Path())
		if err != nil {
			t.Fatal(err)
		}
		if got, want := info.Mode(), fs.ModeSocket|0o600; got != want {
			t.Errorf("umask %04o: mode %v, want %v", umask, got, want)
		}
	}
}

func TestListenReplacesWhatADeadProcessLeft(t *testing.T) {
	path := filepath.Join(temp(t), "lanyard.sock")
	stale(t, path)
	l := listen(t, path)
	conn, err := net.Dial("unix", l.Path())
	if err != nil {
		t.Fatalf("nobody answers on the new socket: %v", err)
	}
	_ = conn.Close()
}

func TestListenRefusesWhatIsNotItsToRemove(t *testing.T) {
	for name, test := range map[string]struct {
		make func(t *testing.T, path string)
		want string
	}{
		"a live socket": {func(t *testing.T, path string) { listen(t, path) }, "another process is listening"},
		"a file": {func(t *testing.T, path string) {
			must(t, os.WriteFile(path, nil, 0o600))
		}, "a regular file is in its place"},
		"a directory": {func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o700)) }, "a directory is in its place"},
		"a link to a stale socket": {func(t *testing.T, path string) {
			stale(t, path+".elsewhere")
			must(t, os.Symlink(path+".elsewhere", path))
		}, "a symbolic link is in its place"},
		"a pipe": {func(t *testing.T, path string) { must(t, syscall.Mkfifo(path, 0o600)) }, "something that is not a socket"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(temp(t), "lanyard.sock")
			test.make(t, path)
			refused(t, path, test.want)
			if _, err := os.Lstat(path); err != nil {
				t.Errorf("it was removed: %v", err)
			}
		})
	}
}

func TestListenRefusesADirectoryInWhichOthersCouldReplaceTheSocket(t *testing.T) {
	for name, test := range map[string]struct {
		make func(t *testing.T, directory string)
		want string
	}{
		"missing":  {func(*testing.T, string) {}, "does not exist; create it"},
		"a file":   {func(t *testing.T, d string) { must(t, os.WriteFile(d, nil, 0o600)) }, "is not a directory"},
		"writable": {func(t *testing.T, d string) { must(t, os.Mkdir(d, 0o700)); must(t, os.Chmod(d, 0o757)) }, "set its mode to 0755"},
		"writable for a group": {func(t *testing.T, d string) {
			must(t, os.Mkdir(d, 0o700))
			if os.Geteuid() == 0 {
				must(t, os.Chown(d, -1, 12345)) // root's own group may write
			}
			must(t, os.Chmod(d, 0o775))
		}, "is writable for the group"},
		"long path": {func(*testing.T, string) {}, "a unix socket's may have 107"},
	} {
		t.Run(name, func(t *testing.T) {
			directory := filepath.Join(temp(t), "d")
			if name == "long path" {
				directory = "/" + strings.Repeat("d", 107)
			}
			test.make(t, directory)
			refused(t, filepath.Join(directory, "lanyard.sock"), test.want)
		})
	}
}

func TestListenAcceptsASharedDirectoryWithTheStickyBit(t *testing.T) {
	directory := temp(t)
	must(t, os.Chmod(directory, 0o777|fs.ModeSticky))
	listen(t, filepath.Join(directory, "lanyard.sock"))
}

func TestOneOfManyThatStartAtOnceListens(t *testing.T) {
	path := filepath.Join(temp(t), "lanyard.sock")
	stale(t, path)
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		won   []*Listener
	)
	for range 16 {
		group.Go(func() {
			l, err := Listen(context.Background(), path)
			if err != nil {
				if !strings.Contains(err.Error(), "another process is listening") {
					t.Errorf("unexpected cause: %v", err)
				}
				return
			}
			mu.Lock()
			defer mu.Unlock()
			won = append(won, l)
		})
	}
	group.Wait()
	for _, l := range won {
		must(t, l.Close())
	}
	if len(won) != 1 {
		t.Errorf("%d listen at one path, want 1", len(won))
	}
}

func TestCloseRemovesItsOwnSocketAndNoOther(t *testing.T) {
	path := filepath.Join(temp(t), "lanyard.sock")
	first := listen(t, path)
	must(t, first.Close())
	must(t, first.Close())
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Fatalf("the socket is still there: %v", err)
	}

	second := listen(t, path)
	must(t, os.Remove(path))
	successor := listen(t, path)
	must(t, second.Close())
	if _, err := os.Lstat(successor.Path()); err != nil {
		t.Errorf("the successor's socket is gone: %v", err)
	}
}

func TestAnAbstractSocketHasNoFile(t *testing.T) {
	name := fmt.Sprintf("@lanyard-test-%d", os.Getpid())
	l := listen(t, name)
	if l.Path() != name {
		t.Errorf("it listens at %s", l.Path())
	}
	refused(t, name, "another process is listening on it")
	conn, err := net.Dial("unix", name)
	must(t, err)
	_ = conn.Close()
	must(t, l.Close())
	must(t, listen(t, name).Close())
	for _, bad := range []string{"@", "@" + strings.Repeat("n", 107), "@a\x00b"} {
		refused(t, bad, "the name of an abstract socket has 1 to 106 bytes")
	}
}

func TestListenGivesUpWhenItsLockStaysHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(temp(t), "lanyard.sock")
		unlock, err := lock(t.Context(), path)
		must(t, err)
		defer unlock()
		refused(t, path, "another process holds its lock")
	})
}

// flock opens a file as anyone may who can read it, and takes its lock.
func flock(t *testing.T, path string) *os.File {
	t.Helper()
	file, err := os.Open(path)
	must(t, err)
	t.Cleanup(func() { _ = file.Close() })
	must(t, syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
	return file
}

func TestALockThatOthersCanTakeStopsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		directory := temp(t)
		flock(t, directory)
		l := listen(t, filepath.Join(directory, "lanyard.sock"))
		if left, err := os.ReadDir(directory); err != nil || len(left) != 1 {
			t.Errorf("beside the socket there are %v, %v", left, err)
		}
		must(t, l.Close())
	})
}

func TestTheLockExcludesAnEarlierVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		directory := temp(t)
		path := filepath.Join(directory, "lanyard.sock")
		old := flock(t, directory)
		taken := make(chan func())
		go func() {
			unlock, err := lock(t.Context(), path)
			if err != nil {
				t.Error(err)
			}
			taken <- unlock
		}()
		synctest.Wait()
		select {
		case <-taken:
			t.Fatal("it did not wait for the earlier version")
		default:
		}
		must(t, old.Close())
		unlock := <-taken
		other, err := os.Open(directory)
		must(t, err)
		defer other.Close()
		if err := syscall.Flock(int(other.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			t.Error("an earlier version can take its lock meanwhile")
		}
		unlock()
		must(t, syscall.Flock(int(other.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
	})
}

func TestALockFileThatIsInTheWay(t *testing.T) {
	for name, test := range map[string]struct {
		make func(t *testing.T, lock string)
		want string // empty: it listens
	}{
		"left by a killed process": {func(t *testing.T, lock string) { must(t, os.WriteFile(lock, nil, 0o600)) }, ""},
		"that others can open": {func(t *testing.T, lock string) {
			must(t, os.WriteFile(lock, nil, 0o600))
			must(t, os.Chmod(lock, 0o604))
		}, "its permissions let other users open it"},
		"a pipe": {func(t *testing.T, lock string) { must(t, syscall.Mkfifo(lock, 0o600)) }, "remove it"},
		"a link": {func(t *testing.T, lock string) { must(t, os.Symlink("/etc/passwd", lock)) }, "too many levels of symbolic links"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(temp(t), "lanyard.sock")
			test.make(t, filepath.Join(filepath.Dir(path), ".lanyard.sock.lock"))
			if test.want == "" {
				listen(t, path)
				return
			}
			refused(t, path, test.want)
		})
	}
}

func refused(t *testing.T, path, want string) {
	t.Helper()
	l, err := Listen(t.Context(), path)
	if err == nil {
		_ = l.Close()
		t.Fatal("it listens")
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("error %q does not say %q", err, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
