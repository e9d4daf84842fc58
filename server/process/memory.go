package process

import (
	"context"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"
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

// LimitToContainer has the garbage collector keep a process whose use grows with the
// cluster within half as much again as it uses, and at four fifths of its container's
// memory: the rest is for the binary's pages. GOMEMLIMIT and GOGC in the environment win.
func LimitToContainer() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
	if limit := containerLimit("/sys/fs/cgroup"); limit > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit / 5 * 4)
	}
}

// The pauses of KeepSmall: the first lets the process have begun its work.
const firstTrim, trimEvery = 5 * time.Second, time.Minute

// KeepSmall keeps the process as small as it can be until ctx ends, for one beside which
// others work and that works seldom: the garbage collector lets the heap grow by a fifth,
// and what is not in use goes back to the kernel, once a minute. GOGC in the environment
// wins.
func KeepSmall(ctx context.Context) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(20)
	}
	for pause := firstTrim; ; pause = trimEvery {
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		debug.FreeOSMemory()
		forgetBinary()
	}
}

// containerLimit is the limit of memory in bytes of the control group that a container sees
// as the root, of either version; zero if there is none.
// https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
func containerLimit(root string) int64 {
	for _, file := range []string{"memory.max", "memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			continue
		}
		// Version 2 says max for no limit, version 1 a number that no machine has.
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && limit < 1<<50 {
			return limit
		}
	}
	return 0
}

// Started gives back what the start of a process has left behind, in the heap and of the
// program's file, of which a start reads much that is not needed again.
func (m *Memory) Started() {
	debug.FreeOSMemory()
	forgetBinary()
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
