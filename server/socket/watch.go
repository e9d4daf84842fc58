package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/klog/v2"
)

// watchInterval is how often Watch looks at the socket's file.
const watchInterval = 2 * time.Second

// Watch keeps the socket reachable until ctx ends or Close is called. When the file is
// removed or replaced, or its directory made anew, it listens at the path again under
// the rules of Listen, so that it takes nothing from a process that lives. The
// connections that are open go on. A mode or an owner that somebody changed is set
// back, unless chosen says that the operator may have chosen it. It calls reachable with
// false each time the file is found missing or replaced, and with true once the socket is
// there again.
//
// It returns an error if the socket cannot be made again by this process but by the
// next one: a container that was given a directory of the node keeps the one that it
// was given, though that was removed and another is in its place since.
//
// An abstract socket has no file to lose; Watch then returns at once.
func (l *Listener) Watch(ctx context.Context, chosen bool, reachable func(bool)) error {
	if l.file == nil {
		return nil
	}
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	w := watch{Listener: l, chosen: chosen, reachable: reachable}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			w.look(ctx)
		}
		if w.why != "" && time.Since(w.since) >= removedFor && isRemoved(filepath.Dir(l.path)) {
			return fmt.Errorf("socket %s: its directory was removed from the node under this process; a new one must be started", l.path)
		}
	}
}

// removedFor is how long a socket is lost before Watch gives it up.
const removedFor = 30 * time.Second

// isRemoved says whether a directory that is still there for this process has no
// name any more, which happens to what is mounted into a container.
func isRemoved(directory string) bool {
	info, err := os.Stat(directory)
	return err == nil && info.Sys().(*syscall.Stat_t).Nlink == 0 //nolint:forcetypeassert // what package os returns on unix
}

// watch is what Watch knows from one look to the next.
type watch struct {
	*Listener
	chosen    bool
	reachable func(bool)
	gone      string // what was found in place of the socket; empty while it is there
	since     time.Time
	why       string // why it could not be made again, or set back
	unsafe    string // what is wrong with its directory
}

// checkDirectory logs once that others have come to be able to replace the socket.
func (w *watch) checkDirectory() {
	text := ""
	if err := checkDirectory(filepath.Dir(w.path)); err != nil {
		text = err.Error()
	}
	if text != w.unsafe && text != "" {
		klog.ErrorS(nil, "The socket's directory has become unsafe", "socket", w.path, "cause", text)
	}
	w.unsafe = text
}

func (w *watch) look(ctx context.Context) {
	now, err := os.Lstat(w.path)
	if err == nil && os.SameFile(now, w.file) {
		if w.gone != "" { // it was moved away and came back
			klog.InfoS("The socket is in its place again", "socket", w.path)
			w.found()
		}
		if !w.chosen {
			w.setBack(now)
		}
		w.checkDirectory()
		return
	}
	if w.isClosed() {
		return
	}
	if w.gone == "" {
		w.gone, w.why, w.since = whatIsThere(now, err), "", time.Now()
		w.reachable(false)
	}
	inner, file, err := open(ctx, w.path)
	switch {
	case err == nil:
		if w.replace(inner, file) {
			klog.ErrorS(nil, "The socket was lost and is listened on again; find out what removes it", "socket", w.path, "found", w.gone)
		}
		w.found()
	case ctx.Err() == nil && err.Error() != w.why:
		w.why = err.Error()
		klog.ErrorS(nil, "The socket is lost and cannot be made again yet; nobody can connect until then", "socket", w.path, "found", w.gone, "cause", w.why, "triedEvery", watchInterval)
	}
}

// found notes that the socket is there again.
func (w *watch) found() {
	w.gone, w.why = "", ""
	w.reachable(true)
}

// replace has Accept go on with a new socket. After Close it removes the new one.
func (w *watch) replace(inner *net.UnixListener, file fs.FileInfo) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.inner
	if w.closed {
		before = inner
		_ = os.Remove(w.path) //nolint:errcheck // a stale socket is what a killed process leaves
	} else {
		w.inner, w.file = inner, file
	}
	// Nobody can reach the one before by this path any more.
	_ = before.Close() //nolint:errcheck // see above
	return !w.closed
}

func (l *Listener) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// whatIsThere says what is in the socket's place.
func whatIsThere(info fs.FileInfo, err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "nothing"
	case err != nil:
		return cause(err).Error()
	case info.Mode().Type() == fs.ModeSocket:
		return fmt.Sprintf("a socket of uid %d", owner(info))
	default:
		return kind(info)
	}
}

// setBack gives the socket its mode and owner again.
func (w *watch) setBack(now fs.FileInfo) {
	if now.Mode() == w.file.Mode() && owner(now) == owner(w.file) && group(now) == group(w.file) {
		return
	}
	err := os.Lchown(w.path, int(owner(w.file)), int(group(w.file)))
	if err == nil {
		err = os.Chmod(w.path, w.file.Mode().Perm())
	}
	if err != nil {
		if text := "cannot be set back: " + cause(err).Error(); text != w.why {
			w.why = text
			klog.ErrorS(nil, "Somebody changed the socket's mode or owner, which cannot be set back", "socket", w.path, "mode", fmt.Sprintf("%04o", now.Mode().Perm()), "uid", owner(now), "cause", cause(err).Error())
		}
		return
	}
	w.why = ""
	klog.ErrorS(nil, "Somebody changed the socket's mode or owner; it is set back", "socket", w.path, "mode", fmt.Sprintf("%04o", now.Mode().Perm()), "uid", owner(now))
}
