package engine

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/outage"
	"github.com/lanyardhq/lanyard/provider/config"
)

// storeCalls count what Facts tell of stores, by their labels in metrics.
type storeCalls struct {
	mu sync.Mutex
	of map[string]*callCounts
}

// callCounts are those of one store, as StoreFacts describes them.
type callCounts struct {
	calls, reads, failures uint64
	latency                float64
	text                   string
	failed                 time.Time
}

func newStoreCalls() *storeCalls { return &storeCalls{of: map[string]*callCounts{}} }

// store is the counts of one store. The caller holds mu.
func (s *storeCalls) store(name string) *callCounts {
	c := s.of[name]
	if c == nil {
		c = &callCounts{}
		s.of[name] = c
	}
	return c
}

// called counts a remote call.
func (s *storeCalls) called(name string, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.store(name)
	if c.calls++; c.calls == 1 {
		c.latency = took.Seconds()
	}
	c.latency += (took.Seconds() - c.latency) / 16
}

// read counts a read or a renewal.
func (s *storeCalls) read(name string, at time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.store(name)
	c.reads++
	if err != nil {
		c.failures++
		c.text, c.failed = message.Excerpt(err.Error()), at
	}
}

// keep forgets the stores for which keep is false.
func (s *storeCalls) keep(keep func(name string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.of, func(name string, _ *callCounts) bool { return !keep(name) })
}

// facts are those of the configured stores and of what else was called, with the outages
// by name.
func (s *storeCalls) facts(config *config.Config, outages map[string]outage.State) []StoreFacts {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := map[string]bool{}
	for name := range config.Stores {
		names[name] = true
	}
	for name := range s.of {
		names[name] = true
	}
	all := make([]StoreFacts, 0, len(names))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		one := StoreFacts{Name: name, Type: config.Stores[name].Type, State: StoreUnasked}
		if state, known := outages[name]; known {
			one.State = StoreUp
			if state.Down {
				one.State, one.Since = StoreDown, state.Since
			}
		}
		if c := s.of[name]; c != nil {
			one.Calls, one.Reads, one.Failures, one.LatencySeconds = c.calls, c.reads, c.failures, c.latency
			one.Error, one.LastFailure = c.text, c.failed
		}
		all = append(all, one)
	}
	return all
}
