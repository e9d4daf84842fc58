package process

import (
	"runtime/debug"
	"testing"
)

func TestMemoryLimitFollowsTheCacheUnlessTheEnvironmentSetsIt(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	for name, test := range map[string]struct {
		environment string
		want        int64
	}{
		"no environment": {"", 48 << 20},
		"environment":    {"1GiB", before},
	} {
		t.Run(name, func(t *testing.T) {
			debug.SetMemoryLimit(before)
			t.Setenv("GOMEMLIMIT", test.environment)
			LimitMemory(32 << 20)
			if got := debug.SetMemoryLimit(-1); got != test.want {
				t.Errorf("the limit is %d, want %d", got, test.want)
			}
		})
	}
}
