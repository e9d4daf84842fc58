package atomicfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// lockRetry is how often a lock that another process holds is tried again.
const lockRetry = 50 * time.Millisecond

// Lock waits until no other process that calls it is changing the file at path,
// which must exist, and keeps others waiting until unlock is called. The lock
// ends with the process. It is on the file itself and not on one beside it, so
// that nothing is left behind; Replace may be called meanwhile. The error wraps
// ErrNoLocks if the file system has no locks for this file.
func Lock(ctx context.Context, path string) (unlock func(), err error) {
	for {
		file, err := openToLock(path)
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil && stillAt(path, file) {
			return func() { _ = file.Close() }, nil //nolint:errcheck // it was only read
		}
		_ = file.Close() //nolint:errcheck // it was only read
		if lockless(err) {
			return nil, fmt.Errorf("%s: %w: %w", path, ErrNoLocks, err)
		}
		if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s cannot be locked: %w", path, err)
		}
		// Another process has it, or has just replaced it.
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s is being changed by another process: %w", path, ctx.Err())
		case <-time.After(lockRetry):
		}
	}
}

// ErrNoLocks means that a file cannot be locked where it lies: the file system
// has no locks, or none for a file that may only be read.
var ErrNoLocks = errors.New("the file system has no lock for it")

// lockless says whether flock failed for want of locks. NFS has none for a file
// that is not open for writing, and says EBADF.
func lockless(err error) bool {
	return errors.Is(err, syscall.EBADF) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOLCK) || errors.Is(err, syscall.ENOSYS)
}

// openToLock opens a file for writing, because over NFS flock is a lock of
// fcntl's, which needs that to be exclusive (flock(2), "NFS details"). Elsewhere
// a file that may only be read is locked as well: it is replaced, not written.
func openToLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EPERM) {
		return os.Open(path)
	}
	return file, err
}

// stillAt says whether a file that was opened is still the one at its path.
func stillAt(path string, file *os.File) bool {
	opened, err := file.Stat()
	if err != nil {
		return false
	}
	now, err := os.Stat(path)
	return err == nil && os.SameFile(opened, now)
}
