package process

import (
	"os"
	"runtime/debug"
	"sync"
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

// Memory is the soft limit of the process's memory. It is safe for concurrent use.
type Memory struct {
	mu            sync.Mutex
	cache, beside int64
	fixed         bool // by the environment
}

// LimitMemory has the garbage collector keep the process's own memory, which
// is without the pages of its binary, at about cacheBytes and what is needed
// beside the cache, and collect seldom while it is below. Left to itself the
// collector lets a heap grow to twice what is in use, however small or large
// that is. It is a soft limit: a process that needs more gets it, at the price
// of time. GOMEMLIMIT and GOGC in the environment win over the limit and the
// growth; see https://pkg.go.dev/runtime/debug#SetMemoryLimit.
func LimitMemory(cacheBytes int64) *Memory {
	m := &Memory{cache: cacheBytes, fixed: os.Getenv("GOMEMLIMIT") != ""}
	m.set()
	if !m.fixed && os.Getenv("GOGC") == "" {
		debug.SetGCPercent(growth)
	}
	return m
}

// SetCache changes the size of the cache.
func (m *Memory) SetCache(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cache = bytes
	m.set()
}

// SetBeside says how many bytes are in use beside the cache and what is always needed:
// with much in use, a limit for little would have the process collect all the time.
func (m *Memory) SetBeside(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.beside = bytes
	m.set()
}

// set is called with mu held, or before the Memory is shared. What is in use for a
// moment leaves garbage behind: half as much again is left for that.
func (m *Memory) set() {
	if !m.fixed {
		debug.SetMemoryLimit(m.cache + besideCache + m.beside*3/2)
	}
}
