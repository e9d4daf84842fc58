package process

import (
	"errors"
	"os"
	"path/filepath"
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

func TestContainerLimit(t *testing.T) {
	for name, c := range map[string]struct {
		file, text string
		want       int64
	}{
		"version 2": {"memory.max", "134217728\n", 128 << 20}, "no limit": {"memory.max", "max\n", 0},
		"version 1": {"memory/memory.limit_in_bytes", "134217728\n", 128 << 20}, "none of version 1": {"memory/memory.limit_in_bytes", "9223372036854771712\n", 0},
		"no file": {"other", "1", 0}, "no number": {"memory.max", "", 0},
	} {
		root := t.TempDir()
		path := filepath.Join(root, c.file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(c.text), 0o600)); err != nil {
			t.Fatal(err)
		}
		if got := containerLimit(root); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
