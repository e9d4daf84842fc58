package engine_test

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/storetest"
)

// Memory is a store in memory for the tests of the engine: it counts
// what is asked of it and fails, waits and leases as it is told. It is a
// store.Type named "memory" with the settings "address" and "role", and meets
// the contract like any other.
type Memory struct {
	mu     sync.Mutex
	values map[string]memoryValue
	denied map[string]bool // service accounts that may read nothing
	reads  map[string]int
	calls  int
	flying int
	most   int
	closed int

	// Behave, if set, is called for each read before it is answered, without
	// a lock; its error is the read's. It may block until ctx ends.
	Behave func(ctx context.Context, ref store.Reference) error
	// Batch, if above one, makes the stores that are opened from then on a
	// store.BatchReader of that size, except for keys that begin with "alone/".
	Batch int
	// Lease, if set, gives the lease of a value that is being read.
	Lease func(ref store.Reference, issued int) *store.Lease
	// Change, if set, changes what is answered.
	Change func(ref store.Reference, value *store.Value)
}

type memoryValue struct {
	data    string
	version int
}

// NewMemory returns an empty Memory.
func NewMemory() *Memory {
	return &Memory{values: map[string]memoryValue{}, denied: map[string]bool{}, reads: map[string]int{}}
}

// Put holds value under key, at the next version.
func (m *Memory) Put(key, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[key] = memoryValue{value, m.values[key].version + 1}
}

// Delete forgets the key.
func (m *Memory) Delete(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.values, key)
}

// Has says whether the store has a value under the key.
func (m *Memory) Has(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.values[key]
	return ok
}

// Deny refuses all reads of a service account, given as "namespace/name".
func (m *Memory) Deny(account string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.denied[account] = true
}

// Reads is how often each key was read.
func (m *Memory) Reads() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.reads)
}

// Total is how many reads there were.
func (m *Memory) Total() (total int) {
	for _, n := range m.Reads() {
		total += n
	}
	return total
}

// Calls is how many calls there were: reads of one, and batches.
func (m *Memory) Calls() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls
}

// MaxInFlight is the highest number of calls that were in flight together.
func (m *Memory) MaxInFlight() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.most
}

// Closed is how many of the stores that were opened have been closed.
func (m *Memory) Closed() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closed
}

// Name implements store.Type.
func (m *Memory) Name() string { return "memory" }

// WorkloadSettings implements store.Type.
func (m *Memory) WorkloadSettings() []string { return []string{"role"} }

// Open implements store.Type.
func (m *Memory) Open(settings store.Settings) (store.Store, error) {
	for field, value := range settings.Fields {
		if _, isText := value.(string); !isText || (field != "address" && field != "role") {
			return nil, fmt.Errorf("%w: %s: unknown field or no text", fault.ErrInvalid, field)
		}
	}
	if m.Batch > 1 {
		return &memoryBatches{memoryStore{m}, m.Batch}, nil
	}
	return &memoryStore{m}, nil
}

type memoryStore struct{ *Memory }

func (s *memoryStore) Check(ref store.Reference) error {
	if ref.Key == "" || len(ref.Options) > 0 {
		return fmt.Errorf("%w: key is empty or there are options", fault.ErrInvalid)
	}
	return nil
}

func (s *memoryStore) Read(ctx context.Context, as identity.Identity, ref store.Reference) (store.Value, error) {
	defer s.call()()
	return s.answer(ctx, as, ref)
}

// RefreshOf implements store.Steady for references with a version.
func (*memoryStore) RefreshOf(ref store.Reference) time.Duration {
	if ref.Version == "" {
		return 0
	}
	return store.PinnedRefresh
}

// call counts a call until the function it returns is called.
func (s *memoryStore) call() (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	s.flying++
	s.most = max(s.most, s.flying)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.flying--
	}
}

func (s *memoryStore) answer(ctx context.Context, as identity.Identity, ref store.Reference) (store.Value, error) {
	s.mu.Lock()
	s.reads[ref.Key]++
	issued := s.reads[ref.Key]
	s.mu.Unlock()
	if s.Behave != nil {
		if err := s.Behave(ctx, ref); err != nil {
			return store.Value{}, err
		}
	}
	s.mu.Lock()
	held, ok := s.values[ref.Key]
	denied := s.denied[as.Namespace+"/"+as.ServiceAccount]
	s.mu.Unlock()
	switch {
	case denied:
		return store.Value{}, fmt.Errorf("%s: %w for %s", ref.Key, fault.ErrDenied, as)
	case !ok:
		return store.Value{}, fmt.Errorf("%s: %w", ref.Key, fault.ErrNotFound)
	}
	value := store.Value{Data: secret.NewString(held.data), Version: strconv.Itoa(held.version)}
	if s.Lease != nil {
		if lease := s.Lease(ref, issued); lease != nil {
			value = store.Value{Data: secret.NewString(fmt.Sprintf("%s issue %d", held.data, issued)), Lease: lease}
		}
	}
	if s.Change != nil {
		s.Change(ref, &value)
	}
	return value, nil
}

func (s *memoryStore) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
}

// memoryBatches is a memory store that reads several keys at once.
type memoryBatches struct {
	memoryStore
	size int
}

func (s *memoryBatches) BatchSize(_ identity.Identity, ref store.Reference) int {
	if strings.HasPrefix(ref.Key, "alone/") {
		return 1
	}
	return s.size
}

func (s *memoryBatches) ReadBatch(ctx context.Context, as identity.Identity, refs []store.Reference) []store.Result {
	defer s.call()()
	results := make([]store.Result, len(refs))
	for i, ref := range refs {
		results[i].Value, results[i].Err = s.answer(ctx, as, ref)
	}
	return results
}

// Renewable returns a lease that lasts for ttl from now, can be renewed for ttl
// at a time, and ends for good at the maximum.
func Renewable(now func() time.Time, ttl, maximum time.Duration, onRenew func()) *store.Lease {
	last := now().Add(maximum)
	var lease func() *store.Lease
	lease = func() *store.Lease {
		expires := now().Add(ttl)
		if expires.After(last) {
			expires = last
		}
		return &store.Lease{Duration: ttl, Expires: expires, Renew: func(context.Context) (*store.Lease, error) {
			onRenew()
			return lease(), nil
		}}
	}
	return lease()
}

func TestMemoryMeetsTheContract(t *testing.T) { meetsTheContract(t, 0) }

func TestMemoryThatReadsInBatchesMeetsTheContract(t *testing.T) { meetsTheContract(t, 5) }

func meetsTheContract(t *testing.T, batch int) {
	t.Helper()
	storetest.Run(t, func(*testing.T) *storetest.Fixture {
		m := NewMemory()
		m.Batch = batch
		m.Deny("prod/stranger")
		return &storetest.Fixture{
			Type:     m,
			Settings: store.Settings{Fields: map[string]any{"address": "here"}},
			Identity: identity.Identity{Namespace: "prod", ServiceAccount: "web"},
			Stranger: &identity.Identity{Namespace: "prod", ServiceAccount: "stranger"},
			Put: func(_ *testing.T, name, value string) store.Reference {
				m.Put(name, value)
				return store.Reference{Key: name}
			},
			Missing:         store.Reference{Key: "missing"},
			Pinned:          []store.Reference{{Key: "a", Version: "1"}},
			Invalid:         map[string]store.Reference{"no key": {}, "options": {Key: "a", Options: map[string]any{"x": 1}}},
			InvalidSettings: map[string]store.Settings{"adress": {Fields: map[string]any{"adress": "here"}}},
		}
	})
}
