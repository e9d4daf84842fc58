package credential

// NewSized is New for a cache of so many keys.
func NewSized[C any](opts Options, keys int) *Cache[C] { return newSized[C](opts, keys) }
