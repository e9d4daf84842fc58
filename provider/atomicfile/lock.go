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
// that nothing is left behind; Replace may be called meanwhile.
func Lock(ctx context.Context, path string) (unlock func(), err error) {
	for {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil && stillAt(path, file) {
			return func() { _ = file.Close() }, nil //nolint:errcheck // it was only read
		}
		_ = file.Close() //nolint:errcheck // it was only read
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

// stillAt says whether a file that was opened is still the one at its path.
func stillAt(path string, file *os.File) bool {
	opened, err := file.Stat()
	if err != nil {
		return false
	}
	now, err := os.Stat(path)
	return err == nil && os.SameFile(opened, now)
}
