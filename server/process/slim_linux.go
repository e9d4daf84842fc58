package process

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// forgetBinary has the kernel map anew, when they are used, the pages of the program's
// file: initialisation touches most of them once, code of stores that nobody uses among
// it. Only mappings that are all as in the file are forgotten, so that nothing is lost;
// where that cannot be told, nothing is done.
// https://man7.org/linux/man-pages/man2/madvise.2.html, MADV_DONTNEED
// https://man7.org/linux/man-pages/man5/proc_pid_smaps.5.html
func forgetBinary() {
	own, err := os.Executable()
	if err != nil {
		return
	}
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return
	}
	var begin, end uintptr
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) >= 5 && strings.Contains(fields[0], "-"):
			begin, end = 0, 0
			from, to, _ := strings.Cut(fields[0], "-")
			a, errA := strconv.ParseUint(from, 16, 64)
			b, errB := strconv.ParseUint(to, 16, 64)
			if errA == nil && errB == nil && len(fields) == 6 && fields[5] == own && !strings.Contains(fields[1], "w") {
				begin, end = uintptr(a), uintptr(b)
			}
		case len(fields) == 3 && (fields[0] == "Anonymous:" || fields[0] == "Swap:") && fields[1] != "0":
			begin, end = 0, 0
		case len(fields) > 0 && fields[0] == "VmFlags:" && end > begin:
			// The system call alone: the range is no memory of Go's.
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, begin, end-begin, unix.MADV_DONTNEED) //nolint:errcheck // the pages stay
		}
	}
}
