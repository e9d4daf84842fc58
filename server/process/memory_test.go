package process

import (
	"runtime/debug"
	"testing"
)

func TestMemoryLimitFollowsTheCacheUnlessTheEnvironmentSetsIt(t *testing.T) {
	limit, percent := debug.SetMemoryLimit(-1), debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetMemoryLimit(limit); debug.SetGCPercent(percent) })
	for name, test := range map[string]struct {
		memory, gc string
		limit      int64
		percent    int
	}{
		"no environment": {"", "", 40 << 20, growth},
		"GOMEMLIMIT":     {"1GiB", "", limit, 100},
		"GOGC":           {"", "50", 40 << 20, 100},
	} {
		t.Run(name, func(t *testing.T) {
			debug.SetMemoryLimit(limit)
			debug.SetGCPercent(100)
			t.Setenv("GOMEMLIMIT", test.memory)
			t.Setenv("GOGC", test.gc)
			memory := LimitMemory(16 << 20)
			memory.SetCache(18 << 20)
			memory.SetBeside(4 << 20)
			if got := debug.SetMemoryLimit(-1); got != test.limit {
				t.Errorf("the limit is %d, want %d", got, test.limit)
			}
			if got := debug.SetGCPercent(100); got != test.percent {
				t.Errorf("the growth is %d %%, want %d %%", got, test.percent)
			}
		})
	}
}
