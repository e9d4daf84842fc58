package share

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Limits are the bounds of a Pool.
type Limits struct {
	// Capacity is how many units tenants hold together, guarantees aside.
	Capacity int64
	// Guarantee is how many units a tenant gets even if the others hold all of the
	// capacity. Zero guarantees nothing.
	Guarantee int64
	// Patience is how long a request waits before it gets the guarantee, where the
	// capacity should not be passed while its holders come and go. Further requests of
	// the tenant then get it at once, until there is room within the capacity again.
	Patience time.Duration
	// KeepFree is for units that are large or may be held for long, such as bytes,
	// where a guarantee of the usual size would pass the capacity: a tenant may hold
	// at most as many units as are free after it has taken them (a dynamic
	// threshold). One tenant alone gets half of the capacity, n tenants that want all
	// they can get have 1/(n+1) each, and something is left for the next.
	KeepFree bool
}

// limit is how many units one tenant can hold at all.
func (l Limits) limit() int64 {
	if l.KeepFree {
		return max(l.Capacity/2, l.Guarantee)
	}
	return max(l.Capacity, l.Guarantee)
}

// ErrNever means that a request was refused because it asks for more units than a tenant
// can hold, even alone.
var ErrNever = errors.New("more than one tenant can hold")

// Pool is a number of units that tenants share. It is safe for concurrent use.
type Pool struct {
	meter *Meter

	mu      sync.Mutex
	limits  Limits
	held    int64
	next    uint64             // the number of the next request
	tenants map[string]*tenant // that hold units or wait for them
	waiting []*tenant
	used    map[string]usage // of tenants that do neither
}

// tenant is guarded by Pool.mu.
type tenant struct {
	name  string
	held  int64
	queue []*request // by number: the oldest holder's comes first
	usage usage
	// urgent says that the tenant has waited for longer than the patience.
	urgent bool
}

// request is one that waits.
type request struct {
	*Held
	units   int64         // that it asks for
	granted chan struct{} // closed under Pool.mu
}

// New returns a Pool that counts in meter, which several may share, or nowhere if it is
// nil.
func New(meter *Meter, limits Limits) *Pool {
	p := &Pool{meter: meter, tenants: map[string]*tenant{}, used: map[string]usage{}}
	p.SetLimits(limits)
	return p
}

// SetLimits changes the limits. What tenants hold stays held.
func (p *Pool) SetLimits(limits Limits) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.meter.addCapacity(limits.Capacity - p.limits.Capacity)
	p.limits = limits
	p.grant()
}

// Limit is how many units one tenant can hold at most.
func (p *Pool) Limit() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.limits.limit()
}

// Close takes the capacity of the Pool out of its meter. The Pool works on.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.meter.addCapacity(-p.limits.Capacity)
}

// Acquire takes units for the tenant, and waits for them while ctx lasts. The error wraps
// ctx's, or ErrNever.
func (p *Pool) Acquire(ctx context.Context, name string, units int64) (*Held, error) {
	h := &Held{pool: p, tenant: name}
	p.mu.Lock()
	p.next++
	h.number = p.next
	if err := h.take(ctx, units); err != nil {
		return nil, err
	}
	return h, nil
}

// TryAcquire takes units for the tenant if it gets them at once. A refusal is counted.
func (p *Pool) TryAcquire(name string, units int64) (*Held, bool) {
	h := &Held{pool: p, tenant: name}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next++
	h.number = p.next
	return h, h.tryTake(units)
}

// Held are the units of one holder. It may grow and shrink, and must be released. It is
// safe for concurrent use.
type Held struct {
	pool   *Pool
	tenant string
	number uint64 // of the request that made it
	units  int64  // guarded by pool.mu
}

// Units is how many units are held.
func (h *Held) Units() int64 {
	h.pool.mu.Lock()
	defer h.pool.mu.Unlock()
	return h.units
}

// Limit is how many units the tenant can hold at most.
func (h *Held) Limit() int64 { return h.pool.Limit() }

// Grow takes more units and waits for them while ctx lasts, ahead of younger holders of
// the tenant. The error wraps ctx's, or ErrNever; what was held stays so.
//
// Holders that all wait to grow can keep each other waiting. So give ctx a deadline soon
// after which the holder releases everything and begins anew with a request for all.
func (h *Held) Grow(ctx context.Context, units int64) error {
	h.pool.mu.Lock()
	return h.take(ctx, units)
}

// TryGrow takes more units if it gets them at once. A refusal is counted.
func (h *Held) TryGrow(units int64) bool {
	h.pool.mu.Lock()
	defer h.pool.mu.Unlock()
	return h.tryTake(units)
}

// Shrink gives back so many units that at most units stay held.
func (h *Held) Shrink(units int64) {
	h.pool.mu.Lock()
	defer h.pool.mu.Unlock()
	if excess := h.units - units; excess > 0 {
		h.add(-excess)
		h.pool.grant()
	}
}

// Yield lets others have the units if any wait, and takes them again when it is this
// tenant's turn. After an error, which is ctx's, nothing is held.
func (h *Held) Yield(ctx context.Context) error {
	p := h.pool
	p.mu.Lock()
	if len(p.waiting) == 0 {
		p.mu.Unlock()
		return nil
	}
	units := h.units
	h.add(-units)
	p.next++
	h.number = p.next
	p.grant()
	return h.take(ctx, units)
}

// Release gives back all units. It may be called more than once, and on nil.
func (h *Held) Release() {
	if h != nil {
		h.Shrink(0)
	}
}

// tryTake is called with mu held.
func (h *Held) tryTake(units int64) bool {
	r := h.request(units)
	if r != nil {
		h.pool.dequeue(r)
		h.pool.meter.refuse()
		h.pool.grant() // what waited behind it
	}
	return r == nil
}

// take is entered with mu held and leaves it.
func (h *Held) take(ctx context.Context, units int64) error {
	p := h.pool
	err := ctx.Err()
	if limit := p.limits.limit(); err == nil && h.units+units > limit {
		err = fmt.Errorf("%w: %d units, and it can hold %d", ErrNever, h.units+units, limit)
	}
	if err != nil {
		p.meter.refuse()
		p.mu.Unlock()
		return err
	}
	r, patience := h.request(units), p.limits.Patience
	p.mu.Unlock()
	if r == nil {
		return nil
	}

	began := time.Now()
	defer func() { p.meter.waited(time.Since(began)) }()
	impatient := time.NewTimer(patience)
	defer impatient.Stop()
	for waits := true; waits; {
		select {
		case <-r.granted:
			return nil
		case <-impatient.C:
			p.hurry(r)
		case <-ctx.Done():
			waits = false
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-r.granted:
		return nil // at the same moment
	default:
	}
	p.dequeue(r)
	p.meter.refuse()
	p.grant() // what waited behind it
	return ctx.Err()
}

// hurry notes that the tenant of a request has waited for longer than the patience.
func (p *Pool) hurry(r *request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.tenants[r.tenant]; t != nil && slices.Contains(t.queue, r) {
		t.urgent = true
		p.grant()
	}
}

// request takes units if they can be had at once, and else returns the request that
// waits for them. It is called with mu held.
func (h *Held) request(units int64) *request {
	p := h.pool
	if t := p.tenant(h.tenant); len(t.queue) == 0 {
		fits, guaranteed := p.fits(t, units)
		if fits && len(p.waiting) == 0 || guaranteed {
			t.urgent = t.urgent && !fits
			h.add(units)
			return nil
		}
	}
	r := &request{Held: h, units: units, granted: make(chan struct{})}
	p.enqueue(r)
	p.grant()
	select {
	case <-r.granted:
		return nil
	default:
		return r
	}
}

// add is called with mu held.
func (h *Held) add(units int64) {
	p := h.pool
	h.units += units
	p.held += units
	p.meter.addHeld(units)
	t := p.tenant(h.tenant)
	t.usage.settle(t.held, time.Now())
	t.held += units
	p.forget(t)
}

// tenant finds or makes the tenant of a name.
func (p *Pool) tenant(name string) *tenant {
	t := p.tenants[name]
	if t == nil {
		t = &tenant{name: name, usage: p.used[name]}
		p.tenants[name] = t
		delete(p.used, name)
	}
	return t
}

// forget forgets a tenant that holds nothing and waits for nothing.
func (p *Pool) forget(t *tenant) {
	if t.held == 0 && len(t.queue) == 0 {
		delete(p.tenants, t.name)
		p.remember(t)
	}
}

func (p *Pool) enqueue(r *request) {
	t := p.tenant(r.tenant)
	if len(t.queue) == 0 {
		p.waiting = append(p.waiting, t)
	}
	at, _ := slices.BinarySearchFunc(t.queue, r, func(a, b *request) int { return cmp.Compare(a.number, b.number) })
	t.queue = slices.Insert(t.queue, at, r)
	p.meter.addWaiting(1, len(t.queue) == 1)
}

func (p *Pool) dequeue(r *request) {
	t := p.tenants[r.tenant]
	t.queue = slices.DeleteFunc(t.queue, func(other *request) bool { return other == r })
	if len(t.queue) == 0 {
		p.waiting = slices.DeleteFunc(p.waiting, func(other *tenant) bool { return other == t })
	}
	p.meter.addWaiting(-1, len(t.queue) == 0)
	p.forget(t)
}

// fits says whether the capacity lets a tenant take so many units now, and guaranteed
// whether its guarantee does.
func (p *Pool) fits(t *tenant, units int64) (fits, guaranteed bool) {
	would, free := t.held+units, p.limits.Capacity-p.held-units
	return free >= 0 && (!p.limits.KeepFree || would <= free),
		would <= p.limits.Guarantee && (p.limits.Patience == 0 || t.urgent)
}

// equalShare is what each tenant has when all that hold or wait have the same.
func (p *Pool) equalShare() int64 {
	parts := int64(len(p.tenants))
	if p.limits.KeepFree {
		parts++
	}
	return p.limits.Capacity / max(parts, 1)
}

// grant meets the requests that can be met. The tenant that holds the fewest units comes
// first, of equals the one that has had the least lately, and then the one that has
// waited for longest. A request that does not fit
// yet is not overtaken, except by guarantees, if it leaves its tenant within the equal
// share: so a large one is not starved by small ones. A larger one has no such right.
func (p *Pool) grant() {
	if len(p.waiting) == 0 {
		return
	}
	now := time.Now()
	for granted := true; granted; {
		granted = false
		for _, t := range p.waiting {
			t.usage.settle(t.held, now)
		}
		slices.SortFunc(p.waiting, func(a, b *tenant) int {
			return cmp.Or(cmp.Compare(a.held, b.held), cmp.Compare(a.usage.amount, b.usage.amount), cmp.Compare(a.queue[0].number, b.queue[0].number))
		})
		share, overtaken := p.equalShare(), false
		for _, t := range p.waiting {
			r := t.queue[0]
			fits, guaranteed := p.fits(t, r.units)
			if guaranteed || fits && !overtaken {
				t.urgent = t.urgent && !fits
				r.add(r.units)
				p.dequeue(r)
				close(r.granted)
				granted = true
				break
			}
			overtaken = overtaken || t.held+r.units <= share
		}
	}
}
