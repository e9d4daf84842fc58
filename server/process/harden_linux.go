package process

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Harden makes the process write no core dumps and lets no process attach to
// it or read its memory that has not CAP_SYS_PTRACE, even one of the same user.
// See prctl(2), PR_SET_DUMPABLE, and setrlimit(2), RLIMIT_CORE. An error means
// that the process is not protected and should hold no secrets.
func Harden() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot keep debuggers from the process: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("cannot switch core dumps off: %w", err)
	}
	return nil
}
