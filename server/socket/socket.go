// Package socket is the unix socket that a front door listens on, and the
// check of who is at its other end. It knows no protocol: the secrets store
// provider and the KMS plugin both stand on it. It never widens who may
// connect: the socket's mode is 0600 from the moment it exists, and a peer that
// runs as nobody known is refused before it can say a word.
//
// Start with Listen; give Credentials to the gRPC server that serves on it.
package socket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// maxPath is the longest path of a unix socket: sun_path of unix(7) has 108
// bytes, of which the last is the terminating zero.
const maxPath = 107

// A Listener accepts connections on a unix socket. Close removes the socket's
// file if it is still this Listener's own; Watch makes the file again when it is gone.
type Listener struct {
	path string

	mu     sync.Mutex
	inner  *net.UnixListener
	file   os.FileInfo // nil for an abstract socket
	closed bool
}

// Listen creates the socket at path with mode 0600 and listens on it. A socket
// that a dead process left there is replaced. It is an error if anything else
// is there: a socket that a process answers on, somebody else's socket, a file,
// a link; and if others could replace the socket, because the directory is
// neither root's nor the process's own or is writable for all.
//
// Processes that listen at one path at the same moment take turns, by a lock file
// that no other user can open, so that none removes the socket of the other.
//
// A path that begins with @ names an abstract socket, which has no file, no
// mode and no owner, and ends with its last user: who may connect is decided by
// Credentials alone.
func Listen(ctx context.Context, path string) (*Listener, error) {
	if strings.HasPrefix(path, "@") {
		return listenAbstract(ctx, path)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if len(path) > maxPath {
		return nil, fmt.Errorf("socket %s: the path has %d bytes, and a unix socket's may have %d; choose a shorter directory", path, len(path), maxPath)
	}
	l := &Listener{path: path}
	if l.inner, l.file, err = open(ctx, path); err != nil {
		return nil, err
	}
	return l, nil
}

// open makes the socket of a path.
func open(ctx context.Context, path string) (*net.UnixListener, os.FileInfo, error) {
	if err := checkDirectory(filepath.Dir(path)); err != nil {
		return nil, nil, err
	}
	unlock, err := lock(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	defer unlock()

	if err := removeStale(ctx, path); err != nil {
		return nil, nil, err
	}
	config := net.ListenConfig{Control: ownerOnly}
	made, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, nil, fmt.Errorf("socket %s: cannot listen: %w", path, cause(err))
	}
	inner := made.(*net.UnixListener) //nolint:forcetypeassert // network "unix" has no other
	inner.SetUnlinkOnClose(false)
	file, err := os.Lstat(path)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("socket %s: vanished while it was made: %w", path, cause(err)), inner.Close())
	}
	if excess := file.Mode().Perm() &^ 0o600; excess != 0 {
		return nil, nil, errors.Join(fmt.Errorf("socket %s: this kernel made it with mode %04o instead of 0600", path, file.Mode().Perm()), os.Remove(path), inner.Close())
	}
	return inner, file, nil
}

// listenAbstract is Listen in the abstract namespace of unix(7), in which the
// name of a dead process's socket is free at once.
func listenAbstract(ctx context.Context, name string) (*Listener, error) {
	if len(name) == 1 || len(name) > maxPath || strings.ContainsRune(name, 0) {
		return nil, fmt.Errorf("socket %q: the name of an abstract socket has 1 to %d bytes after the @, without a zero", name, maxPath-1)
	}
	config := net.ListenConfig{}
	inner, err := config.Listen(ctx, "unix", name)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("socket %s: another process is listening on it; stop that process, or choose another name", name)
	}
	if err != nil {
		return nil, fmt.Errorf("socket %s: cannot listen: %w", name, cause(err))
	}
	return &Listener{inner: inner.(*net.UnixListener), path: name}, nil //nolint:forcetypeassert // network "unix" has no other
}

// Path is where the Listener listens, as an absolute path, or as the name of an
// abstract socket with its @.
func (l *Listener) Path() string { return l.path }

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Accept implements net.Listener. It goes on when Watch makes the socket again.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		inner := l.current()
		conn, err := inner.Accept()
		if err == nil || inner == l.current() {
			return conn, err
		}
	}
}

func (l *Listener) current() *net.UnixListener {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inner
}

// Close ends Accept and removes the socket's file, unless another process has
// put its own there meanwhile. Closing again changes nothing.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	// The file goes first: as long as the socket is open its inode's number
	// cannot pass to somebody else's file.
	return errors.Join(l.remove(), l.inner.Close())
}

// remove removes the socket's file. The lock is not waited for longer than a
// second, and not needed where the file is gone with its directory.
func (l *Listener) remove() error {
	if l.file == nil || !l.isOwn() { // an abstract socket has no file
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	unlock, err := lock(ctx, l.path)
	if err != nil {
		return err
	}
	defer unlock()
	if !l.isOwn() {
		return nil
	}
	return os.Remove(l.path)
}

// isOwn says whether the file at the path is this Listener's socket.
func (l *Listener) isOwn() bool {
	now, err := os.Lstat(l.path)
	return err == nil && os.SameFile(now, l.file)
}

// ownerOnly gives the socket its mode before bind makes the file, which Linux
// makes with the mode of the socket's own inode and the umask. A chmod of the
// path afterwards would leave a moment in which others can connect.
func ownerOnly(_, _ string, conn syscall.RawConn) error {
	var failed error
	err := conn.Control(func(fd uintptr) { failed = syscall.Fchmod(int(fd), 0o600) })
	return errors.Join(err, failed)
}

// cause drops the operation and the path that package os and net repeat.
func cause(err error) error {
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		return errno
	}
	return err
}
