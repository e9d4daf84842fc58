package engine

import "github.com/lanyardhq/lanyard/provider/share"

// shrink evicts until the cache is within its bound, each time from the namespace that
// takes the most: what is above the equal share goes, and what others have stays.
// Within the namespace the least recently used goes first: volumes, since making them
// again costs no call, then values, and last values with a lease, since the next poll
// would have a new credential issued while the old one stays valid at the store.
func (c *cache) shrink(bound int64) {
	for c.bytes > bound {
		from := share.Largest(c.taken)
		switch {
		case c.volumes.RemoveOldest(from):
			c.metrics.evictions.volume.Inc()
		case c.entries.RemoveOldest(from):
			c.metrics.evictions.shared.Inc()
		case c.owned.RemoveOldest(from):
			c.metrics.evictions.own.Inc()
		default:
			return // nothing is left
		}
	}
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
