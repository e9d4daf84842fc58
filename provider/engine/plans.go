package engine

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/share"
)

// What is kept is bounded by number and by memory, of which a class can ask for many
// times its own text. A plan that would take more than a part is made anew for each mount.
const (
	// plansKept are enough for a node, which runs at most a few hundred pods;
	// clusterPlansKept for a cluster.
	plansKept, plansKeptCost               = 1024, 24 << 20
	clusterPlansKept, clusterPlansKeptCost = 16 << 10, 40 << 20

	planKeptCost = 4 << 20
)

// planKey identifies a plan: for whom it was made, and of what.
type planKey struct {
	namespace string
	parts     planParts
}

// planParts are everything that a plan is made from.
type planParts struct {
	generation uint64            // of the operator's configuration
	class      [sha256.Size]byte // digest of the class as the pod has it
}

// plans keeps the plan of each class for as long as pods ask for it. A plan
// that is dropped while a mount still uses it is released when that mount ends.
type plans struct {
	conns             *connections
	now               func() time.Time
	shares            *shares
	spared            prometheus.Counter // counts the mounts that a remembered failure answered
	maxCount, maxCost int                // of the plans that are kept

	mu     sync.Mutex
	cost   int            // of the plans that are kept
	taken  map[string]int // the cost by namespace
	kept   *share.LRUs[planKey, *plan]
	failed *simplelru.LRU[planKey, remembered]
	users  map[*plan]int // mounts in flight, and one more while the plan is kept
}

func newPlans(conns *connections, now func() time.Time, shares *shares, spared prometheus.Counter, cluster bool) *plans {
	p := &plans{conns: conns, now: now, shares: shares, spared: spared, maxCount: plansKept, maxCost: plansKeptCost, users: map[*plan]int{}, taken: map[string]int{}}
	if cluster {
		p.maxCount, p.maxCost = clusterPlansKept, clusterPlansKeptCost
	}
	p.kept = share.NewLRUs(func(key planKey) string { return key.namespace }, func(key planKey, dropped *plan) {
		p.count(key.namespace, -dropped.cost)
		p.leave(dropped)
	})
	p.failed = newLRU[planKey, remembered](failedPlansKept, nil)
	return p
}

// build has parse make the plan of a key that is not known, of a class of so many bytes that
// takes so much memory to read, and returns it with the function that gives it back. The
// error is a *MountError.
func (p *plans) build(ctx context.Context, key planKey, size int, memory int64, parse func(*work) (*plan, error)) (*plan, func(), error) {
	large, err := p.large(ctx, key.namespace, size)
	if err != nil {
		return nil, nil, err
	}
	inUse := false // by a plan that is not kept
	defer func() {
		if !inUse {
			large.Release()
		}
	}()
	budget, err := p.shares.memory.reserve(ctx, key.namespace, memory)
	if err != nil {
		return nil, nil, err
	}
	defer budget.release()
	w, err := p.shares.begin(ctx, key.namespace)
	if err != nil {
		return nil, nil, classError(fmt.Errorf("%w: the mount's time was over before its class was read (%w)", fault.ErrUnavailable, err))
	}
	defer w.end()
	// Another pod's mount may have made it meanwhile.
	if known, release, err := p.known(key); known != nil || err != nil {
		return known, release, err
	}
	built, err := parse(w)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		before, _ := p.failed.Get(key)
		failed := before.again(classError(err), p.now())
		p.failed.Add(key, failed)
		return nil, nil, failed.err
	}
	p.failed.Remove(key)
	built.key = key.parts
	if kept, ok := p.kept.Get(key); ok {
		dropPlan(p.conns, built)
		return kept, p.use(kept), nil
	}
	release := p.use(built)
	if built.cost > planKeptCost {
		inUse = true
		return built, func() { release(); large.Release() }, nil
	}
	p.users[built]++
	p.count(key.namespace, built.cost)
	p.kept.Add(key, built)
	for p.cost > p.maxCost || p.kept.Len() > p.maxCount {
		p.kept.RemoveOldest(share.Largest(p.taken))
	}
	return built, release, nil
}

// large takes what the plan of a class of so many bytes may take, if it may be one that
// is not kept; else it takes nothing. The plan has that until its mount ends.
func (p *plans) large(ctx context.Context, namespace string, size int) (*share.Held, error) {
	cost := compiledCost * min(size, maxCompiled)
	if cost <= planKeptCost {
		return nil, nil //nolint:nilnil // nothing is taken
	}
	held, err := p.shares.large.Acquire(ctx, namespace, int64(cost))
	if err != nil {
		return nil, classError(fmt.Errorf("%w: the mount timed out waiting for memory: the classes with large templates that are in use take all that the namespace can have (%w)", fault.ErrUnavailable, err))
	}
	return held, nil
}

// known returns the plan of a key if it is kept, with the function that gives it back, or
// why it could not be made a moment ago, or neither.
func (p *plans) known(key planKey) (*plan, func(), error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if kept, ok := p.kept.Get(key); ok {
		return kept, p.use(kept), nil
	}
	if failed, ok := p.failed.Get(key); ok && p.now().Before(failed.until) {
		p.spared.Inc()
		return nil, nil, failed.err
	}
	return nil, nil, nil
}

// count adds to the cost of the plans that are kept for a namespace.
func (p *plans) count(namespace string, cost int) {
	p.cost += cost
	if p.taken[namespace] += cost; p.taken[namespace] == 0 {
		delete(p.taken, namespace)
	}
}

// use counts a mount. It is called with mu held.
func (p *plans) use(used *plan) (release func()) {
	used.lastUsed = p.now()
	p.users[used]++
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
		if kept, ok := p.kept.Peek(key); ok && p.now().Sub(kept.lastUsed) >= idle {
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
	p.failed.Purge()
}

// digestOf is the digest of a class: of everything that its plan is made from, but for the
// operator's configuration. Every part is preceded by its length, so that no two sets of
// parameters look alike.
func digestOf(dialect string, parameters map[string]string) [sha256.Size]byte {
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
