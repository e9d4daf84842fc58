package process

import (
	"os"
	"regexp"
	"testing"

	"golang.org/x/sys/unix"
)

func TestHardenedProcessDumpsNothingAndLetsNobodyIn(t *testing.T) {
	if err := Harden(); err != nil {
		t.Fatal(err)
	}
	if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || dumpable != 0 {
		t.Errorf("dumpable is %d (%v)", dumpable, err)
	}
	limits, err := os.ReadFile("/proc/self/limits")
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^Max core file size +0 +0 `).Match(limits) {
		t.Errorf("core dumps are on:\n%s", limits)
	}
	// The memory of a process that is not dumpable belongs to root.
	var stat unix.Stat_t
	if err := unix.Stat("/proc/self/mem", &stat); err != nil || stat.Uid != 0 {
		t.Errorf("its memory belongs to uid %d (%v)", stat.Uid, err)
	}
}
