package socket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"
)

// safeBuffer is a log that is read while Watch writes to it.
type safeBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *safeBuffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Reset()
}

// watched is a socket that answers each connection with a byte while Watch runs, on a
// clock that stands still unless the test waits.
type watched struct {
	*testing.T
	*Listener
	path   string
	log    *safeBuffer
	losses atomic.Int64
	lost   atomic.Bool
	given  error // why Watch gave up; read after it has
}

// watching runs a test in a bubble, in which waiting for connections counts as being
// idle no more than it does in a real process: each look is one tick of the clock.
func watching(t *testing.T, chosen bool, test func(w *watched)) {
	var log safeBuffer
	klog.SetLogger(textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(&log))))
	t.Cleanup(klog.ClearLogger)
	synctest.Test(t, func(t *testing.T) {
		directory := filepath.Join(temp(t), "d")
		must(t, os.Mkdir(directory, 0o755))
		must(t, os.Chmod(directory, 0o755))
		w := &watched{T: t, path: filepath.Join(directory, "lanyard.sock"), log: &log}
		var err error
		w.Listener, err = Listen(t.Context(), w.path)
		must(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.given = w.Watch(ctx, chosen, func(reachable bool) {
				w.lost.Store(!reachable)
				if !reachable {
					w.losses.Add(1)
				}
			})
		}()
		test(w)
		cancel()
		<-done
		must(t, w.given)
		must(t, w.Close())
	})
}

// look lets Watch look twice.
func (w *watched) look() {
	time.Sleep(2 * watchInterval)
	synctest.Wait()
}

// connects says whether a connection to the path arrives at the Listener.
func (w *watched) connects() bool {
	w.Helper()
	client, err := net.Dial("unix", w.path)
	if err != nil {
		return false
	}
	defer client.Close()
	inner := w.current()
	must(w.T, inner.SetDeadline(time.Time{}))
	server, err := inner.Accept()
	must(w.T, err)
	defer server.Close()
	return exchange(w.T, client, server)
}

func exchange(t *testing.T, client, server net.Conn) bool {
	t.Helper()
	_, err := server.Write([]byte("x"))
	must(t, err)
	got := make([]byte, 1)
	_, err = io.ReadFull(client, got)
	return err == nil && got[0] == 'x'
}

func (w *watched) logged(want string, times int) {
	w.Helper()
	if n := strings.Count(w.log.String(), want); n != times {
		w.Errorf("%q is logged %d times, want %d:\n%s", want, n, times, w.log)
	}
}

func TestALostSocketIsMadeAgain(t *testing.T) {
	for name, lose := range map[string]func(w *watched){
		"removed":    func(w *watched) { must(w.T, os.Remove(w.path)) },
		"moved away": func(w *watched) { must(w.T, os.Rename(w.path, w.path+".old")) },
		"replaced by what a dead process left": func(w *watched) {
			must(w.T, os.Remove(w.path))
			stale(w.T, w.path)
		},
		"lost with its directory": func(w *watched) {
			must(w.T, os.RemoveAll(filepath.Dir(w.path)))
			must(w.T, os.Mkdir(filepath.Dir(w.path), 0o755))
			must(w.T, os.Chmod(filepath.Dir(w.path), 0o755))
		},
	} {
		t.Run(name, func(t *testing.T) {
			watching(t, false, func(w *watched) {
				client, err := net.Dial("unix", w.path)
				must(w.T, err)
				defer client.Close()
				server, err := w.current().Accept()
				must(w.T, err)
				defer server.Close()

				lose(w)
				w.look()
				if !w.connects() {
					w.Fatal("nobody can connect")
				}
				if !exchange(w.T, client, server) {
					w.Error("a connection that was open has ended")
				}
				info, err := os.Lstat(w.path)
				must(w.T, err)
				if info.Mode().Perm() != 0o600 || w.losses.Load() != 1 {
					w.Errorf("mode %v, %d losses", info.Mode(), w.losses.Load())
				}
				w.look()
				w.logged("was lost and is listened on again", 1)
				lose(w)
				w.look()
				if !w.connects() || w.losses.Load() != 2 {
					w.Errorf("the second time nobody can connect (%d losses)", w.losses.Load())
				}
			})
		})
	}
}

func TestASocketThatCannotBeMadeAgainYet(t *testing.T) {
	for name, test := range map[string]struct {
		lose func(w *watched) (free func())
		want string
	}{
		"a file": {func(w *watched) func() {
			must(w.T, os.Remove(w.path))
			must(w.T, os.WriteFile(w.path, nil, 0o600))
			return func() { must(w.T, os.Remove(w.path)) }
		}, "a regular file is in its place"},
		"a link": {func(w *watched) func() {
			must(w.T, os.Rename(w.path, w.path+".old"))
			must(w.T, os.Symlink(w.path+".old", w.path))
			return func() { must(w.T, os.Remove(w.path)) }
		}, "a symbolic link is in its place"},
		"no directory": {func(w *watched) func() {
			directory := filepath.Dir(w.path)
			must(w.T, os.RemoveAll(directory))
			return func() { must(w.T, os.Mkdir(directory, 0o700)) }
		}, "does not exist; create it"},
		"a directory in which others could replace it": {func(w *watched) func() {
			must(w.T, os.Remove(w.path))
			must(w.T, os.Chmod(filepath.Dir(w.path), 0o757))
			return func() { must(w.T, os.Chmod(filepath.Dir(w.path), 0o755)) }
		}, "is writable for everyone"},
		"another process": {func(w *watched) func() {
			must(w.T, os.Remove(w.path))
			other, err := Listen(w.Context(), w.path)
			must(w.T, err)
			return func() { must(w.T, other.Close()) }
		}, "another process is listening on it"},
	} {
		t.Run(name, func(t *testing.T) {
			watching(t, false, func(w *watched) {
				free := test.lose(w)
				w.look()
				w.look()
				w.logged(test.want, 1)
				w.logged("cannot be made again yet", 1)
				if w.losses.Load() != 1 || !w.lost.Load() {
					w.Errorf("%d losses, lost: %v", w.losses.Load(), w.lost.Load())
				}
				free()
				w.look()
				w.logged("is listened on again", 1)
				if !w.connects() || w.losses.Load() != 1 || w.lost.Load() {
					w.Errorf("it is not listened on again: %d losses, lost: %v", w.losses.Load(), w.lost.Load())
				}
			})
		})
	}
}

func TestASocketThatComesBack(t *testing.T) {
	watching(t, false, func(w *watched) {
		aside := filepath.Join(filepath.Dir(filepath.Dir(w.path)), "aside")
		must(w.T, os.Rename(filepath.Dir(w.path), aside))
		w.look()
		must(w.T, os.Rename(aside, filepath.Dir(w.path)))
		w.look()
		w.logged("is in its place again", 1)
		w.logged("listened on again", 0)
		if !w.connects() || w.losses.Load() != 1 || w.lost.Load() {
			w.Errorf("nobody can connect (%d losses, lost: %v)", w.losses.Load(), w.lost.Load())
		}
	})
}

func TestAModeThatSomebodyChangedIsSetBack(t *testing.T) {
	for _, mode := range []os.FileMode{0o666, 0o660, 0} {
		watching(t, false, func(w *watched) {
			must(w.T, os.Chmod(w.path, mode))
			w.look()
			info, err := os.Lstat(w.path)
			must(w.T, err)
			if info.Mode().Perm() != 0o600 || w.losses.Load() != 0 {
				w.Errorf("mode %v, %d losses", info.Mode(), w.losses.Load())
			}
			w.logged("it is set back", 1)
			w.log.Reset()
		})
	}
	watching(t, true, func(w *watched) {
		must(w.T, os.Chmod(w.path, 0o660))
		w.look()
		if info, err := os.Lstat(w.path); err != nil || info.Mode().Perm() != 0o660 {
			w.Errorf("the operator's mode became %v, %v", info.Mode(), err)
		}
	})
}

func TestADirectoryThatBecomesUnsafeIsTold(t *testing.T) {
	watching(t, false, func(w *watched) {
		for range 2 {
			must(w.T, os.Chmod(filepath.Dir(w.path), 0o757))
			w.look()
			must(w.T, os.Chmod(filepath.Dir(w.path), 0o755))
			w.look()
		}
		w.logged("The socket's directory has become unsafe", 2)
		w.logged("is writable for everyone", 2)
	})
}

func TestNothingIsMadeAgainAfterClose(t *testing.T) {
	watching(t, false, func(w *watched) {
		must(w.T, w.Close())
		w.look()
		if _, err := os.Lstat(w.path); !errors.Is(err, os.ErrNotExist) || w.losses.Load() != 0 {
			w.Errorf("the socket is there again: %v, %d losses", err, w.losses.Load())
		}
	})
}

// A directory that is reached by an open file, as a container reaches one by a mount.
func TestASocketWhoseDirectoryIsGoneForThisProcessAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		directory := filepath.Join(temp(t), "d")
		must(t, os.Mkdir(directory, 0o700))
		mount, err := os.Open(directory)
		must(t, err)
		defer mount.Close()
		l := listen(t, fmt.Sprintf("/proc/self/fd/%d/lanyard.sock", mount.Fd()))
		must(t, os.RemoveAll(directory))
		must(t, os.Mkdir(directory, 0o700))
		began := time.Now()
		if err := l.Watch(t.Context(), false, func(bool) {}); err == nil || !strings.Contains(err.Error(), "a new one must be started") {
			t.Errorf("error %v", err)
		}
		if took := time.Since(began); took < removedFor || took > removedFor+2*watchInterval {
			t.Errorf("it gives up after %s", took)
		}
	})
}

// Accept goes on with the new socket, as a gRPC server needs it.
func TestAcceptGoesOn(t *testing.T) {
	l := listen(t, filepath.Join(temp(t), "lanyard.sock"))
	accepted := make(chan net.Conn)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- conn
		}
	}()
	must(t, os.Remove(l.Path()))
	w := &watch{Listener: l, reachable: func(bool) {}}
	w.look(t.Context())
	client, err := net.Dial("unix", l.Path())
	must(t, err)
	defer client.Close()
	server := <-accepted
	defer server.Close()
	if !exchange(t, client, server) {
		t.Error("nothing arrives")
	}
	must(t, l.Close())
	if _, more := <-accepted; more {
		t.Error("Accept goes on after Close")
	}
}

func TestBoundClosesWhatIsTooMuch(t *testing.T) {
	l := listen(t, filepath.Join(temp(t), "lanyard.sock"))
	full := make(chan struct{}, 1)
	b := Bound(l, Peers{}, 1, func() { full <- struct{}{} })
	accepted := make(chan net.Conn)
	go func() {
		for {
			conn, err := b.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- conn
		}
	}()
	dial := func() net.Conn {
		conn, err := net.Dial("unix", l.Path())
		must(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	first, server := dial(), <-accepted
	if _, ok := server.(syscall.Conn); !ok {
		t.Error("the kernel cannot be asked who is at the other end")
	}
	second := dial()
	<-full
	if _, err := second.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection too many is not closed: %v", err)
	}
	if !exchange(t, first, server) {
		t.Error("the first connection has ended")
	}
	must(t, server.Close())
	_ = server.Close() // gives the slot back once
	dial()
	must(t, (<-accepted).Close())
	must(t, l.Close())
	<-accepted
}
