package engine

import (
	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// shrink evicts until the cache is within its bound, each time from the namespace that
// takes the most: what is above the equal share goes, and what others have stays.
// Within the namespace the least recently used goes first: volumes, since making them
// again costs no call, then values, and last values with a lease, since the next poll
// would have a new credential issued while the old one stays valid at the store.
func (c *cache) shrink(bound int64) {
	for c.bytes > bound {
		from := largest(c.taken)
		switch {
		case c.volumes.removeOldest(from):
			c.metrics.evictions.volume.Inc()
		case c.entries.removeOldest(from):
			c.metrics.evictions.shared.Inc()
		case c.owned.removeOldest(from):
			c.metrics.evictions.own.Inc()
		default:
			return // nothing is left
		}
	}
}

// largest is the namespace that takes the most; if several do, any of them.
func largest[N int | int64](taken map[string]N) (namespace string) {
	var most N
	for name, n := range taken {
		if n > most {
			namespace, most = name, n
		}
	}
	return namespace
}

// count adds to the bytes of a namespace in the cache.
func (c *cache) count(namespace string, bytes int64) {
	c.bytes += bytes
	if c.taken[namespace] += bytes; c.taken[namespace] == 0 {
		delete(c.taken, namespace)
	}
}

// keep adds a reference to a value of the namespace: from its entry, or from a volume
// made of it, which may outlive the entry. The value's bytes count once.
func (c *cache) keep(namespace string, h *held) {
	if h.users++; h.users == 1 {
		c.count(namespace, int64(h.value.Data.Len()))
	}
}

// drop removes a reference; h may be nil.
func (c *cache) drop(namespace string, h *held) {
	if h == nil {
		return
	}
	if h.users--; h.users == 0 {
		c.count(namespace, -int64(h.value.Data.Len()))
	}
}

// lrus are one LRU for each namespace, since each evicts its own.
type lrus[K comparable, V any] struct {
	namespaceOf func(K) string
	onEvict     func(K, V)
	entries     int // the bound of each
	of          map[string]*simplelru.LRU[K, V]
	count       int

	// The last LRU that was used, since a mount asks for many keys of one.
	last     string
	lastUsed *simplelru.LRU[K, V]
}

// newLRUs returns LRUs of at most that many entries each.
func newLRUs[K comparable, V any](entries int, namespaceOf func(K) string, onEvict func(K, V)) *lrus[K, V] {
	l := &lrus[K, V]{namespaceOf: namespaceOf, entries: entries, of: map[string]*simplelru.LRU[K, V]{}}
	l.onEvict = func(key K, value V) {
		l.count--
		onEvict(key, value)
	}
	return l
}

// find returns the LRU of a namespace, or nil if it has none.
func (l *lrus[K, V]) find(namespace string) *simplelru.LRU[K, V] {
	if l.lastUsed == nil || l.last != namespace {
		l.last, l.lastUsed = namespace, l.of[namespace]
	}
	return l.lastUsed
}

// forget forgets the LRU of a namespace if nothing is in it.
func (l *lrus[K, V]) forget(namespace string) {
	if lru := l.of[namespace]; lru != nil && lru.Len() == 0 {
		delete(l.of, namespace)
		l.lastUsed = nil
	}
}

// Len is the number of entries of all namespaces.
func (l *lrus[K, V]) Len() int { return l.count }

// Get returns the entry of a key and marks it as used.
func (l *lrus[K, V]) Get(key K) (value V, ok bool) { return l.get(l.namespaceOf(key), key) }

// get is Get for who knows the namespace of the key.
func (l *lrus[K, V]) get(namespace string, key K) (value V, ok bool) {
	if lru := l.find(namespace); lru != nil {
		return lru.Get(key)
	}
	return value, false
}

// Peek is Get without the mark.
func (l *lrus[K, V]) Peek(key K) (value V, ok bool) {
	if lru := l.find(l.namespaceOf(key)); lru != nil {
		return lru.Peek(key)
	}
	return value, false
}

// Add adds an entry whose key is not there.
func (l *lrus[K, V]) Add(key K, value V) {
	namespace := l.namespaceOf(key)
	lru := l.find(namespace)
	if lru == nil {
		lru = newLRU(l.entries, l.onEvict)
		l.of[namespace], l.lastUsed = lru, nil
	}
	l.count++
	lru.Add(key, value)
}

// Remove removes the entry of a key, if there is one.
func (l *lrus[K, V]) Remove(key K) {
	namespace := l.namespaceOf(key)
	if lru := l.find(namespace); lru != nil {
		lru.Remove(key)
		l.forget(namespace)
	}
}

// removeOldest removes the least recently used entry of a namespace.
func (l *lrus[K, V]) removeOldest(namespace string) (removed bool) {
	lru := l.find(namespace)
	if lru == nil {
		return false
	}
	_, _, removed = lru.RemoveOldest()
	l.forget(namespace)
	return removed
}

// Values are the entries of all namespaces.
func (l *lrus[K, V]) Values() []V {
	values := make([]V, 0, l.count)
	for _, lru := range l.of {
		values = append(values, lru.Values()...)
	}
	return values
}

// Keys are the keys of all namespaces.
func (l *lrus[K, V]) Keys() []K {
	keys := make([]K, 0, l.count)
	for _, lru := range l.of {
		keys = append(keys, lru.Keys()...)
	}
	return keys
}

// Purge removes everything.
func (l *lrus[K, V]) Purge() {
	for _, key := range l.Keys() {
		l.Remove(key)
	}
}
