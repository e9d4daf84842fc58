package file_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/file"
	"github.com/lanyardhq/lanyard/provider/store/storetest"
)

var web = identity.Identity{Cluster: "dev", Namespace: "prod", ServiceAccount: "web"}

func operator(root string) store.Settings {
	return store.Settings{ByOperator: true, Fields: map[string]any{"root": root}}
}

func open(t *testing.T, root string) store.Store {
	t.Helper()
	s, err := file.NewType().Open(operator(root))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// write puts a file in place as careful agents do: by renaming. It is old
// enough not to be suspected of being written right now.
func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-time.Minute)
	if err := os.Chtimes(path+".new", past, past); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, s store.Store, key string) (string, error) {
	t.Helper()
	value, err := s.Read(t.Context(), web, store.Reference{Key: key})
	return value.Data.RevealString(), err
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *storetest.Fixture {
		parent := t.TempDir()
		root := filepath.Join(parent, "root")
		if err := os.Mkdir(root, 0o755); err != nil {
			t.Fatal(err)
		}
		long := strings.Repeat("a", 256)
		return &storetest.Fixture{
			Type:     file.NewType(),
			Settings: operator(root),
			Identity: web,
			Put: func(t *testing.T, name, value string) store.Reference {
				write(t, filepath.Join(root, "dir", name), value)
				return store.Reference{Key: "dir/" + name}
			},
			Answers: storetest.NoServer,
			Missing: store.Reference{Key: "dir/missing"},
			Invalid: map[string]store.Reference{
				"no key":             {},
				"the root itself":    {Key: "."},
				"absolute":           {Key: "/etc/passwd"},
				"leads up":           {Key: "../secret"},
				"leads up inside":    {Key: "a/../b"},
				"ends in a slash":    {Key: "a/"},
				"two slashes":        {Key: "a//b"},
				"current directory":  {Key: "./a"},
				"control character":  {Key: "a\nb"},
				"zero byte":          {Key: "a\x00b"},
				"not UTF-8":          {Key: "a\xff"},
				"part too long":      {Key: "a/" + long},
				"path too long":      {Key: strings.Repeat("a/", 2048) + "a"},
				"has a version":      {Key: "a", Version: "1"},
				"has unknown option": {Key: "a", Options: map[string]any{"follow": true}},
			},
			InvalidSettings: map[string]store.Settings{
				"root":   {ByOperator: true},
				"rooot":  {ByOperator: true, Fields: map[string]any{"rooot": "/x"}},
				"root: ": {ByOperator: true, Fields: map[string]any{"root": "relative"}},
				"root: a store of type file reads the node's files": {Fields: map[string]any{"root": root}},
			},
			Fail: func(t *testing.T) {
				if err := os.Rename(root, root+".gone"); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}

func TestCheckReportsEverythingAtOnce(t *testing.T) {
	err := open(t, t.TempDir()).Check(store.Reference{Key: "/a", Version: "1", Options: map[string]any{"x": 1}})
	for _, field := range []string{"key: ", "version: ", "options: "} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("error %v does not name %q", err, field)
		}
	}
}

func TestReadsThroughLinksThatStayBelowTheRoot(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	// The layout of a projected volume: the file is a link through ..data.
	write(t, filepath.Join(root, "..2026_01", "password"), "one")
	link(t, "..2026_01", filepath.Join(root, "..data"))
	link(t, "..data/password", filepath.Join(root, "password"))
	if got, err := read(t, s, "password"); err != nil || got != "one" {
		t.Fatalf("Read = %q, %v; want the file behind the links", got, err)
	}
	write(t, filepath.Join(root, "..2026_02", "password"), "two")
	link(t, "..2026_02", filepath.Join(root, "..data_tmp"))
	if err := os.Rename(filepath.Join(root, "..data_tmp"), filepath.Join(root, "..data")); err != nil {
		t.Fatal(err)
	}
	if got, err := read(t, s, "password"); err != nil || got != "two" {
		t.Errorf("Read after the switch = %q, %v; want the new file", got, err)
	}
}

func TestRefusesWhatIsNotAFileBelowTheRoot(t *testing.T) {
	parent := t.TempDir()
	root := filepath.Join(parent, "root")
	write(t, filepath.Join(parent, "outside"), "planted-outside")
	write(t, filepath.Join(root, "file"), "inside")
	for name, target := range map[string]string{
		"up": "../outside", "absolute": filepath.Join(parent, "outside"), "device": "/dev/zero",
		"loop": "loop", "absolute-inside": filepath.Join(root, "file"), "dangling": "nowhere",
	} {
		link(t, target, filepath.Join(root, name))
	}
	link(t, "..", filepath.Join(root, "parent"))
	if err := unix.Mkfifo(filepath.Join(root, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(socket)
	if err := unix.Bind(socket, &unix.SockaddrUnix{Name: filepath.Join(root, "socket")}); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(makeFile(t, filepath.Join(root, "huge")), 1<<40); err != nil {
		t.Fatal(err)
	}
	makeFile(t, filepath.Join(root, "largest"))
	if err := os.WriteFile(filepath.Join(root, "over"), make([]byte, 4<<20+1), 0o644); err != nil {
		t.Fatal(err)
	}
	s := open(t, root)
	for key, want := range map[string]error{
		"up": fault.ErrDenied, "absolute": fault.ErrDenied, "absolute-inside": fault.ErrDenied,
		"parent/outside": fault.ErrDenied, "parent": fault.ErrDenied, "device": fault.ErrDenied,
		"loop": fault.ErrInvalid, "dangling": fault.ErrNotFound, "file/below": fault.ErrNotFound,
		".hidden": fault.ErrNotFound, "pipe": fault.ErrInvalid, "socket": fault.ErrInvalid,
		"huge": fault.ErrInvalid, "over": fault.ErrInvalid,
	} {
		t.Run(key, func(t *testing.T) {
			got, err := read(t, s, key)
			if !errors.Is(err, want) || got != "" {
				t.Errorf("Read = %q, %v; want %v", got, err, want)
			}
			if err != nil && strings.Contains(err.Error(), "planted") {
				t.Errorf("error %q shows a value", err)
			}
		})
	}
	if _, err := read(t, s, "file"); err != nil {
		t.Errorf("a good file beside them: %v", err)
	}
}

func TestReadsTheLargestFile(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "largest"), strings.Repeat("x", 4<<20))
	if got, err := read(t, open(t, root), "largest"); err != nil || len(got) != 4<<20 {
		t.Errorf("Read returned %d bytes, %v", len(got), err)
	}
}

func TestRefusesAFileThatTheProviderMayNotRead(t *testing.T) {
	if os.Getuid() == 0 {
		// Root reads everything, so the process takes another user's place
		// for this thread's file accesses.
		asNobody(t)
	}
	root := t.TempDir()
	write(t, filepath.Join(root, "private"), "x")
	if err := os.Chmod(filepath.Join(root, "private"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := read(t, open(t, root), "private"); !errors.Is(err, fault.ErrDenied) {
		t.Errorf("Read = %v, want denied", err)
	}
}

func TestAFileThatDoesNotHoldStillIsUnavailable(t *testing.T) {
	// A file of /proc says that it is empty and is not, like one that grows
	// between every look at it and the end of its reading.
	_, err := read(t, open(t, "/proc/self"), "status")
	if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "rename") {
		t.Errorf("Read = %v, want unavailable and what to do", err)
	}
}

func TestReadsAFileThatWasWrittenJustNow(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "new"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := read(t, open(t, root), "new"); err != nil || got != "x" {
		t.Errorf("Read = %q, %v", got, err)
	}
}

func TestGivesUpWaitingForAWriterWhenTheCallerDoes(t *testing.T) {
	root := t.TempDir()
	path := makeFile(t, filepath.Join(root, "busy"))
	ctx, cancel := context.WithCancel(t.Context())
	// Written just now, so that the first look does not settle it.
	now := time.Now()
	if err := os.Chtimes(path, now, now); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := open(t, root).Read(ctx, web, store.Reference{Key: "busy"}); !errors.Is(err, context.Canceled) {
		t.Errorf("Read = %v, want canceled", err)
	}
}

// Whatever a writer below the root does with links while they are resolved, no
// byte from outside comes back.
func TestNeverReadsOutsideTheRootDuringSwitches(t *testing.T) {
	parent := t.TempDir()
	root := filepath.Join(parent, "root")
	write(t, filepath.Join(root, "in", "file"), "inside")
	write(t, filepath.Join(parent, "out", "file"), "planted-outside")
	s := open(t, root)
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for name, targets := range map[string][]string{
		"dir":  {"in", "../out", filepath.Join(parent, "out")},
		"link": {"in/file", "../out/file", filepath.Join(parent, "out", "file")},
	} {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				temporary := filepath.Join(root, name+".new")
				if os.Symlink(targets[i%len(targets)], temporary) != nil || os.Rename(temporary, filepath.Join(root, name)) != nil {
					t.Error("the switch failed")
					return
				}
			}
		})
	}
	reads := 0
	for range 2000 {
		for _, key := range []string{"dir/file", "link"} {
			value, err := s.Read(t.Context(), web, store.Reference{Key: key})
			if got := value.Data.RevealString(); err == nil && got != "inside" || err != nil && got != "" {
				t.Fatalf("Read %s = %q, %v", key, got, err)
			}
			if err == nil {
				reads++
			}
		}
	}
	close(stop)
	writers.Wait()
	if reads == 0 {
		t.Error("no read succeeded, so nothing was tried")
	}
}

// A reader sees the old file or the new one, whatever the moment.
func TestReadsOldOrNewDuringReplacement(t *testing.T) {
	root := t.TempDir()
	contents := []string{strings.Repeat("a", 64<<10), strings.Repeat("b", 32<<10)}
	write(t, filepath.Join(root, "file"), contents[0])
	s := open(t, root)
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				write(t, filepath.Join(root, "file"), contents[i%2])
			}
		}
	})
	for range 500 {
		if got, err := read(t, s, "file"); err != nil || got != contents[0] && got != contents[1] {
			t.Errorf("Read returned %d bytes of neither file, %v", len(got), err)
			break
		}
	}
	close(stop)
	writer.Wait()
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func makeFile(t *testing.T, path string) string {
	t.Helper()
	write(t, path, "x")
	return path
}

// asNobody makes this goroutine's thread access files as another user, who owns
// what the test makes from now on.
func asNobody(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // never unlocked: the thread ends with the test's goroutine
	if err := unix.Setfsuid(65534); err != nil {
		t.Fatal(err)
	}
}
