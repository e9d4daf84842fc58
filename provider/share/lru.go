package share

import (
	"math"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Largest is the tenant that takes the most; if several do, any of them.
func Largest[N int | int64](taken map[string]N) (tenant string) {
	var maxTaken N
	for name, n := range taken {
		if n > maxTaken {
			tenant, maxTaken = name, n
		}
	}
	return tenant
}

// LRUs are one LRU for each tenant, since each evicts its own. Their owner bounds them,
// with Shrink or, where the bound is not one of entries, with Largest and RemoveOldest.
// They are not safe for concurrent use.
type LRUs[K comparable, V any] struct {
	tenantOf func(K) string
	onEvict  func(K, V)
	of       map[string]*simplelru.LRU[K, V]
	count    int

	// The last LRU that was used, since a mount asks for many keys of one.
	last     string
	lastUsed *simplelru.LRU[K, V]
}

// NewLRUs returns LRUs that call onEvict, if it is not nil, with each entry that is removed.
func NewLRUs[K comparable, V any](tenantOf func(K) string, onEvict func(K, V)) *LRUs[K, V] {
	l := &LRUs[K, V]{tenantOf: tenantOf, of: map[string]*simplelru.LRU[K, V]{}}
	l.onEvict = func(key K, value V) {
		l.count--
		if onEvict != nil {
			onEvict(key, value)
		}
	}
	return l
}

// find returns the LRU of a tenant, or nil if it has none.
func (l *LRUs[K, V]) find(tenant string) *simplelru.LRU[K, V] {
	if l.lastUsed == nil || l.last != tenant {
		l.last, l.lastUsed = tenant, l.of[tenant]
	}
	return l.lastUsed
}

// forget forgets the LRU of a tenant if nothing is in it.
func (l *LRUs[K, V]) forget(tenant string) {
	if lru := l.of[tenant]; lru != nil && lru.Len() == 0 {
		delete(l.of, tenant)
		l.lastUsed = nil
	}
}

// Len is the number of entries of all tenants.
func (l *LRUs[K, V]) Len() int { return l.count }

// Get returns the entry of a key and marks it as used.
func (l *LRUs[K, V]) Get(key K) (value V, ok bool) { return l.GetOf(l.tenantOf(key), key) }

// GetOf is Get for who knows the tenant of the key.
func (l *LRUs[K, V]) GetOf(tenant string, key K) (value V, ok bool) {
	if lru := l.find(tenant); lru != nil {
		return lru.Get(key)
	}
	return value, false
}

// Peek is Get without the mark.
func (l *LRUs[K, V]) Peek(key K) (value V, ok bool) {
	if lru := l.find(l.tenantOf(key)); lru != nil {
		return lru.Peek(key)
	}
	return value, false
}

// Add adds an entry whose key is not there.
func (l *LRUs[K, V]) Add(key K, value V) {
	tenant := l.tenantOf(key)
	lru := l.find(tenant)
	if lru == nil {
		// The only error is that of a size below one.
		lru, _ = simplelru.NewLRU(math.MaxInt, l.onEvict) //nolint:errcheck // see above
		l.of[tenant], l.lastUsed = lru, nil
	}
	l.count++
	lru.Add(key, value)
}

// Remove removes the entry of a key, if there is one.
func (l *LRUs[K, V]) Remove(key K) {
	tenant := l.tenantOf(key)
	if lru := l.find(tenant); lru != nil {
		lru.Remove(key)
		l.forget(tenant)
	}
}

// RemoveOldest removes the least recently used entry of a tenant.
func (l *LRUs[K, V]) RemoveOldest(tenant string) (removed bool) {
	lru := l.find(tenant)
	if lru == nil {
		return false
	}
	_, _, removed = lru.RemoveOldest()
	l.forget(tenant)
	return removed
}

// Shrink evicts until at most so many entries are left, each time the least recently used
// of the tenant that has the most: nobody loses one who has no more than the equal share.
func (l *LRUs[K, V]) Shrink(entries int) {
	for l.count > entries {
		var largest string
		var maxLen int
		for tenant, lru := range l.of {
			if lru.Len() > maxLen {
				largest, maxLen = tenant, lru.Len()
			}
		}
		l.RemoveOldest(largest)
	}
}

// Values are the entries of all tenants.
func (l *LRUs[K, V]) Values() []V {
	values := make([]V, 0, l.count)
	for _, lru := range l.of {
		values = append(values, lru.Values()...)
	}
	return values
}

// Keys are the keys of all tenants.
func (l *LRUs[K, V]) Keys() []K {
	keys := make([]K, 0, l.count)
	for _, lru := range l.of {
		keys = append(keys, lru.Keys()...)
	}
	return keys
}

// Purge removes everything.
func (l *LRUs[K, V]) Purge() {
	for _, key := range l.Keys() {
		l.Remove(key)
	}
}
