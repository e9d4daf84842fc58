package sync

import gosync "sync"

// busy divides the workers between namespaces: one gets another worker while it has
// fewer than are free. So a namespace that is alone has half of them, whose objects all
// hang keeps the others waiting for nothing, and some are always left. What gets no
// worker waits until one of its namespace is done.
type busy struct {
	mu      gosync.Mutex
	all     int
	taken   map[string]int
	waiting map[string][]waiter // by namespace
	waits   map[any]bool        // by the key of a waiter
}

// waiter is an object that is to be tried again.
type waiter struct {
	key   any
	again func()
}

// begin takes a worker of so many for the namespace until done, if it may have one more.
// Else the object of the key waits, and again is called once it may be tried.
func (b *busy) begin(namespace string, workers int, key any, again func()) (done func(), free bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.taken == nil {
		b.taken, b.waiting, b.waits = map[string]int{}, map[string][]waiter{}, map[any]bool{}
	}
	if b.taken[namespace] > 0 && b.taken[namespace] >= workers-b.all {
		if !b.waits[key] {
			b.waits[key] = true
			b.waiting[namespace] = append(b.waiting[namespace], waiter{key, again})
		}
		return nil, false
	}
	b.all++
	b.taken[namespace]++
	return func() { b.end(namespace) }, true
}

// end gives a worker back, and has the object that waits longest tried again. The last
// of a namespace to end has all tried that wait: nobody else would.
func (b *busy) end(namespace string) {
	b.mu.Lock()
	b.all--
	b.taken[namespace]--
	wait := b.waiting[namespace]
	n := min(1, len(wait))
	if b.taken[namespace] == 0 {
		delete(b.taken, namespace)
		n = len(wait)
	}
	if b.waiting[namespace] = wait[n:]; len(wait) == n {
		delete(b.waiting, namespace)
	}
	for _, w := range wait[:n] {
		delete(b.waits, w.key)
	}
	b.mu.Unlock()
	for _, w := range wait[:n] {
		w.again()
	}
}
