package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"k8s.io/klog/v2"
)

// watchInterval is how often Watch looks at the socket's file.
const watchInterval = 2 * time.Second

// Watch keeps the socket reachable until ctx ends or Close is called. When the file is
// removed or replaced, or its directory made anew, it listens at the path again under
// the rules of Listen, so that it takes nothing from a process that lives. The
// connections that are open go on. A mode or an owner that somebody changed is set
// back, unless chosen says that the operator may have chosen it. It calls lost each
// time the file is found missing or replaced.
//
// An abstract socket has no file to lose; Watch then returns at once.
func (l *Listener) Watch(ctx context.Context, chosen bool, lost func()) {
	if l.file == nil {
		return
	}
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	w := watch{Listener: l, chosen: chosen, lost: lost}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			w.look(ctx)
		}
	}
}

// watch is what Watch knows from one look to the next.
type watch struct {
	*Listener
	chosen bool
	lost   func()
	gone   string // what was found in place of the socket; empty while it is there
	why    string // why it could not be made again, or set back
}

func (w *watch) look(ctx context.Context) {
	now, err := os.Lstat(w.path)
	if err == nil && os.SameFile(now, w.file) {
		if w.gone != "" { // it was moved away and came back
			klog.InfoS("The socket is in its place again", "socket", w.path)
			w.gone, w.why = "", ""
			w.setLost(nil)
		}
		if !w.chosen {
			w.setBack(now)
		}
		return
	}
	if w.isClosed() {
		return
	}
	if w.gone == "" {
		w.gone, w.why = whatIsThere(now, err), ""
		w.lost()
	}
	inner, file, err := open(ctx, w.path)
	switch {
	case err == nil:
		if w.replace(inner, file) {
			klog.ErrorS(nil, "The socket was lost and is listened on again; find out what removes it", "socket", w.path, "found", w.gone)
		}
		w.gone, w.why = "", ""
	case ctx.Err() == nil && err.Error() != w.why:
		w.why = err.Error()
		w.setLost(err)
		klog.ErrorS(nil, "The socket is lost and cannot be made again yet; nobody can connect until then", "socket", w.path, "found", w.gone, "cause", w.why, "triedEvery", watchInterval)
	}
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
		w.inner, w.file, w.lostWhy = inner, file, nil
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

func (l *Listener) setLost(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if why == nil || l.lostWhy == nil {
		l.lostSince = time.Now()
	}
	l.lostWhy = why
}

// lostTooLong is how long Watch may fail before Lost says so.
const lostTooLong = 30 * time.Second

// Lost says why nobody can connect, after Watch has not been able to make the socket
// again for half a minute. A new process may: a container is given a directory of the
// node that was made anew only when it starts.
func (l *Listener) Lost() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lostWhy == nil || time.Since(l.lostSince) < lostTooLong {
		return nil
	}
	return fmt.Errorf("the socket was lost and cannot be made again: %w", l.lostWhy)
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
