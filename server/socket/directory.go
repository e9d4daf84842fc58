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
)

// checkDirectory refuses a directory in which someone other than root and this
// process could put another socket in the place of ours.
func checkDirectory(directory string) error {
	info, err := os.Stat(directory)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("socket directory %s does not exist; create it, owned by root with mode 0755", directory)
	}
	if err != nil {
		return fmt.Errorf("socket directory %s: %w", directory, cause(err))
	}
	if !info.IsDir() {
		return fmt.Errorf("socket directory %s is not a directory", directory)
	}
	if uid := owner(info); !trusted(uid) {
		return fmt.Errorf("socket directory %s belongs to uid %d, who could replace the socket; give it to root or to uid %d", directory, uid, os.Geteuid())
	}
	if info.Mode()&fs.ModeSticky != 0 {
		return nil // what is in it can be replaced by its owner alone
	}
	if info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("socket directory %s is writable for everyone, who could replace the socket; set its mode to 0755", directory)
	}
	if gid := group(info); info.Mode().Perm()&0o020 != 0 && gid != 0 {
		return fmt.Errorf("socket directory %s is writable for the group %d, which could replace the socket; set its mode to 0755", directory, gid)
	}
	return nil
}

// removeStale makes room for a socket at path. It removes only a socket that
// is root's or our own and that nobody answers on.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("socket %s: %w", path, cause(err))
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("socket %s: %s is in its place; remove it if nobody needs it", path, kind(info))
	}
	if uid := owner(info); !trusted(uid) {
		return fmt.Errorf("socket %s: a socket of uid %d is in its place; find out who made it and remove it", path, uid)
	}
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		_ = conn.Close() //nolint:errcheck // nothing was said on it
		return fmt.Errorf("socket %s: another process is listening on it; stop that process, or choose another directory", path)
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	default:
		return fmt.Errorf("socket %s: cannot tell whether another process is listening on it: %w", path, cause(err))
	}
}

func kind(info fs.FileInfo) string {
	switch info.Mode().Type() {
	case 0:
		return "a regular file"
	case fs.ModeDir:
		return "a directory"
	case fs.ModeSymlink:
		return "a symbolic link"
	default:
		return "something that is not a socket"
	}
}

const (
	// lockTime is how long Listen waits for another process of Lanyard at the same path.
	lockTime = 2 * time.Second
	// lockRetry is how often it tries.
	lockRetry = 10 * time.Millisecond
)

// lock keeps other processes of Lanyard from changing the socket at path until
// unlock is called. The lock is a file beside the socket that only this user can
// open. It is there while the lock is held; what a killed process leaves of it locks
// nothing, because the kernel gives the lock back.
//
// Earlier versions locked the directory, which everyone who can read it can do too.
// So that one of them and this one exclude each other while a node is upgraded, lock
// takes that lock as well, but goes on without it when it cannot have it.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, lockTime)
	defer cancel()
	directory := filepath.Dir(path)
	name := filepath.Join(directory, "."+filepath.Base(path)+".lock")
	for {
		file, err := openLock(name)
		if err != nil {
			return nil, fmt.Errorf("socket %s: its lock file %s: %w", path, name, cause(err))
		}
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil && stillAt(name, file) {
			release := lockDirectory(ctx, directory)
			return func() {
				release()
				// Removed before it is given back, so that none locks a file that is gone.
				_ = os.Remove(name) //nolint:errcheck // it locks nothing once it is closed
				_ = file.Close()    //nolint:errcheck // nothing was written
			}, nil
		}
		_ = file.Close() //nolint:errcheck // nothing was written
		if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, fmt.Errorf("socket %s: its lock file %s cannot be locked: %w", path, name, cause(err))
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("socket %s: another process holds its lock %s; find it with fuser or lslocks", path, name)
		case <-time.After(lockRetry):
		}
	}
}

// openLock opens or makes a lock file. It refuses one that others can open, who could
// hold its lock for ever.
func openLock(name string) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 || !trusted(owner(info))) {
		err = errors.New("its permissions let other users open it; remove it")
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// stillAt says whether an open file is still the one at its path.
func stillAt(path string, file *os.File) bool {
	opened, err := file.Stat()
	if err != nil {
		return false
	}
	now, err := os.Lstat(path)
	return err == nil && os.SameFile(opened, now)
}

// lockDirectory waits for the lock of earlier versions until ctx ends.
func lockDirectory(ctx context.Context, directory string) (release func()) {
	opened, err := os.Open(directory)
	if err != nil {
		return func() {}
	}
	for syscall.Flock(int(opened.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(lockRetry):
		}
	}
	return func() { _ = opened.Close() } //nolint:errcheck // it was only read
}

func trusted(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }

func owner(info fs.FileInfo) uint32 {
	return info.Sys().(*syscall.Stat_t).Uid //nolint:forcetypeassert // what package os returns on unix
}

func group(info fs.FileInfo) uint32 {
	return info.Sys().(*syscall.Stat_t).Gid //nolint:forcetypeassert // what package os returns on unix
}
