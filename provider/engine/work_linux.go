package engine

import (
	"time"

	"golang.org/x/sys/unix"
)

// processorTime is how long the calling thread has run.
// https://man7.org/linux/man-pages/man2/clock_gettime.2.html
func processorTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err) // every Linux that Go runs on has the clock
	}
	return time.Duration(t.Nano())
}
