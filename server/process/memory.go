package process

import (
	"os"
	"runtime/debug"
)

const (
	// besideCache is what the process needs beside its cache, in bytes: about
	// three times what it has in use when nothing is cached.
	besideCache = 16 << 20
	// growth is how far the heap may grow between collections while it is below
	// the limit, in per cent of what is in use. With little in use, Go's 100
	// would have a busy provider collect all the time.
	growth = 400
)

// LimitMemory has the garbage collector keep the process's own memory, which
// is without the pages of its binary, at about cacheBytes and what is needed
// beside the cache, and collect seldom while it is below. Left to itself the
// collector lets a heap grow to twice what is in use, however small or large
// that is. It is a soft limit: a process that needs more gets it, at the price
// of time. GOMEMLIMIT and GOGC in the environment win over the limit and the
// growth; see https://pkg.go.dev/runtime/debug#SetMemoryLimit.
func LimitMemory(cacheBytes int64) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetMemoryLimit(cacheBytes + besideCache)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(growth)
	}
}
