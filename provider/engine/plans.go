package engine

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/semaphore"

	"github.com/lanyardhq/lanyard/provider/fault"
)

// What is kept is bounded by number, since a node runs at most a few hundred
// pods, and by memory, of which a class can ask for many times its own text. A
// plan that would take more than a part is made anew for each mount.
const (
	plansKept     = 1024
	plansKeptCost = 32 << 20
	planKeptCost  = plansKeptCost / 8
)

// plans keeps the plan of each class for as long as pods ask for it. A plan
// that is dropped while a mount still uses it is released when that mount ends.
type plans struct {
	conns *connections
	now   func() time.Time

	// builds are the plans that are being made: as many as there are processors.
	builds *semaphore.Weighted

	mu    sync.Mutex
	cost  int // of the plans that are kept
	kept  *simplelru.LRU[planKey, *plan]
	users map[*plan]int // mounts in flight, and one more while the plan is kept
}

func newPlans(conns *connections, now func() time.Time) *plans {
	p := &plans{conns: conns, now: now, users: map[*plan]int{}, builds: semaphore.NewWeighted(int64(runtime.GOMAXPROCS(0)))}
	p.kept = newLRU(plansKept, func(_ planKey, dropped *plan) {
		p.cost -= dropped.cost
		p.leave(dropped)
	})
	return p
}

// get returns the plan for the parameters under the configuration of this
// generation and the function that gives it back. build makes it if it is not
// kept; its error is returned as it is. Another error means that ctx has ended.
func (p *plans) get(ctx context.Context, generation uint64, dialect string, parameters map[string]string, build func() (*plan, error)) (*plan, func(), error) {
	key := planKey{generation, classDigest(dialect, parameters)}
	p.mu.Lock()
	kept, ok := p.kept.Get(key)
	if ok {
		return kept, p.use(kept), nil
	}
	p.mu.Unlock()

	if err := p.builds.Acquire(ctx, 1); err != nil {
		return nil, nil, fmt.Errorf("%w: the mount's time was over before its class was read (%w)", fault.ErrUnavailable, err)
	}
	defer p.builds.Release(1)
	p.mu.Lock()
	if kept, ok := p.kept.Get(key); ok {
		return kept, p.use(kept), nil // another pod's mount made it meanwhile
	}
	p.mu.Unlock()
	built, err := build()
	if err != nil {
		return nil, nil, err
	}
	built.key = key
	p.mu.Lock()
	if kept, ok := p.kept.Get(key); ok {
		dropPlan(p.conns, built)
		return kept, p.use(kept), nil
	}
	if built.cost <= planKeptCost {
		p.users[built]++
		p.cost += built.cost
		p.kept.Add(key, built)
		for p.cost > plansKeptCost {
			p.kept.RemoveOldest()
		}
	}
	return built, p.use(built), nil
}

// use counts a mount. It is entered with mu held and leaves it.
func (p *plans) use(used *plan) (release func()) {
	used.asked = p.now()
	p.users[used]++
	p.mu.Unlock()
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.leave(used)
	}
}

func (p *plans) leave(left *plan) {
	if p.users[left]--; p.users[left] == 0 {
		delete(p.users, left)
		dropPlan(p.conns, left)
	}
}

// sweep drops the plans that nothing has asked for during the idle time.
func (p *plans) sweep(idle time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range p.kept.Keys() {
		if kept, ok := p.kept.Peek(key); ok && p.now().Sub(kept.asked) >= idle {
			p.kept.Remove(key)
		}
	}
}

// drop drops all plans, because the configuration they were made under is no
// longer the operator's.
func (p *plans) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept.Purge()
}

// planKey is everything that a plan is made from.
type planKey struct {
	generation uint64 // of the operator's configuration
	class      [sha256.Size]byte
}

// classDigest is a digest of a class as a pod has it. Every part is preceded by its
// length, so that no two sets of parameters look alike.
func classDigest(dialect string, parameters map[string]string) [sha256.Size]byte {
	size := 8 + len(dialect)
	for name, value := range parameters {
		size += 16 + len(name) + len(value)
	}
	text := make([]byte, 0, size)
	add := func(part string) {
		text = binary.BigEndian.AppendUint64(text, uint64(len(part)))
		text = append(text, part...)
	}
	add(dialect)
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		add(name)
		add(parameters[name])
	}
	return sha256.Sum256(text)
}
