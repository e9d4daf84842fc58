package process

import (
	"os"
	"runtime/debug"
)

// besideCache is what the process needs beside its cache, in bytes: about
// three times what it has in use when nothing is cached.
const besideCache = 16 << 20

// LimitMemory has the garbage collector keep the process's own memory, which
// is without the pages of its binary, at about cacheBytes and what is needed
// beside the cache. Left to itself the collector lets a heap grow to twice what
// is in use, which on a node is memory that pods do not get. It is a soft
// limit: a process that needs more gets it, at the price of time. GOMEMLIMIT in
// the environment wins; see https://pkg.go.dev/runtime/debug#SetMemoryLimit.
func LimitMemory(cacheBytes int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(cacheBytes + besideCache)
	}
}
