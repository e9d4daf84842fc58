package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/share"
)

const (
	// minReserve is what a mount has before it is known what its class needs: enough
	// for dozens of secrets of a usual size.
	minReserve = 128 << 10
	// reserveStep is by how much a budget grows at least.
	reserveStep = 256 << 10
	// smallMessage is up to which size a message made from memory needs no budget.
	smallMessage = 64 << 10
)

// memory is what mounts in flight take beside the cache: answers while they are read,
// values, files and messages. Namespaces share it.
type memory struct {
	pool *share.Pool
	// held is how much of it is taken; changed is called after it has changed by much.
	held     atomic.Int64
	reported atomic.Int64
	changed  func(bytes int64)
}

// reportStep is by how much what is taken changes before changed is called.
const reportStep = 8 << 20

func newMemory(meter *share.Meter, changed func(bytes int64)) *memory {
	if changed == nil {
		changed = func(int64) {}
	}
	return &memory{pool: share.New(meter, share.Limits{}), changed: changed}
}

func (m *memory) add(bytes int64) {
	held := m.held.Add(bytes)
	reported := m.reported.Load()
	if (held-reported >= reportStep || reported-held >= reportStep) && m.reported.CompareAndSwap(reported, held) {
		m.changed(held)
	}
}

// errNoMemory means that a mount needs more than it has reserved and that its namespace
// cannot have now. The mount then begins anew with a larger reserve.
var errNoMemory = fmt.Errorf("%w: the memory that the mount has reserved is used up", fault.ErrUnavailable)

// budget is the memory of one mount and of the reads that it leads.
type budget struct {
	memory *memory

	mu    sync.Mutex
	held  *share.Held
	units int64 // that are held
	used  int64
	peak  int64
	users int // the mount, and reads that may outlive it
	short bool
}

// reserve waits until the namespace can have so much. The error is one of a mount.
func (m *memory) reserve(ctx context.Context, namespace string, bytes int64) (*budget, error) {
	held, ok := m.pool.TryAcquire(namespace, bytes)
	var err error
	if !ok {
		held, err = m.pool.Acquire(ctx, namespace, bytes)
	}
	switch {
	case errors.Is(err, share.ErrNever):
		return nil, &MountError{Kind: fault.ErrTooLarge, Text: "the secrets of the class need more memory at once than one namespace can have (bounds.memory); split the class into several volumes"}
	case err != nil:
		return nil, &MountError{Kind: fault.ErrUnavailable, Text: "the mount timed out waiting for memory: the mounts in flight take all that bounds.memory lets the namespace have"}
	}
	m.add(bytes)
	return &budget{memory: m, held: held, units: bytes, users: 1}, nil
}

// take uses memory, and more than is reserved if the namespace can have it at once.
// After the first error, errNoMemory, every further call has the same.
func (b *budget) take(bytes int64) error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used += bytes
	b.peak = max(b.peak, b.used)
	if missing := b.used - b.units; missing > 0 && !b.short {
		missing = max(missing, reserveStep)
		if b.users == 0 || !b.held.TryGrow(missing) {
			b.short = true
		} else {
			b.units += missing
			b.memory.add(missing)
		}
	}
	if b.short {
		return errNoMemory
	}
	return nil
}

// give says that memory is not used any more. It stays reserved.
func (b *budget) give(bytes int64) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= bytes
}

// retain adds a user of the budget.
func (b *budget) retain() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.users++
}

// release takes a user away; the last one gives the memory back.
func (b *budget) release() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.users--; b.users == 0 {
		b.memory.add(-b.units) // first, so that nobody counts them twice
		b.held.Release()
		b.units = 0
	}
}

// need is what was used at the most, and whether it was more than could be had.
func (b *budget) need() (bytes int64, short bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.peak, b.short
}
