package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
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

// lock takes the directory's lock and returns the function that gives it back.
// The kernel gives it back too when the process ends.
func lock(ctx context.Context, directory string) (unlock func(), err error) {
	opened, err := os.Open(directory)
	if err != nil {
		return nil, fmt.Errorf("socket directory %s: %w", directory, cause(err))
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for {
		err = syscall.Flock(int(opened.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			// Closing the directory gives its lock back.
			return func() { _ = opened.Close() }, nil //nolint:errcheck // read only
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			break
		}
		select {
		case <-ctx.Done():
			_ = opened.Close() //nolint:errcheck // read only
			return nil, fmt.Errorf("socket directory %s: another process holds its lock; find it with fuser or lslocks", directory)
		case <-time.After(10 * time.Millisecond):
		}
	}
	_ = opened.Close() //nolint:errcheck // read only
	return nil, fmt.Errorf("socket directory %s: cannot lock it: %w", directory, cause(err))
}

func trusted(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }

func owner(info fs.FileInfo) uint32 {
	return info.Sys().(*syscall.Stat_t).Uid //nolint:forcetypeassert // what package os returns on unix
}

func group(info fs.FileInfo) uint32 {
	return info.Sys().(*syscall.Stat_t).Gid //nolint:forcetypeassert // what package os returns on unix
}
