package remote

import "sync"

// Shared opens what several users share, once for each key, and closes it after its
// last user: transports, connections, the logins over them. It is safe for concurrent
// use.
//
// Opening happens under the lock, so that it must not make a call; a failure to open
// is not kept. Closing happens outside of it and may take its time: who asks for the
// key meanwhile gets another.
type Shared[K comparable, V any] struct {
	open  func(K) (V, error)
	close func(V)

	mu   sync.Mutex
	used map[K]*sharedValue[V]
}

type sharedValue[V any] struct {
	value V
	users int
}

// NewShared returns a Shared in which nothing is open.
func NewShared[K comparable, V any](open func(K) (V, error), close func(V)) *Shared[K, V] { //nolint:predeclared // the pair says what they do
	return &Shared[K, V]{open: open, close: close, used: map[K]*sharedValue[V]{}}
}

// Acquire returns the value of the key and the function that gives it back, which may
// be called more than once. The error is open's.
func (s *Shared[K, V]) Acquire(key K) (value V, release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.used[key]
	if found == nil {
		opened, err := s.open(key)
		if err != nil {
			return value, nil, err
		}
		found = &sharedValue[V]{value: opened}
		s.used[key] = found
	}
	found.users++
	return found.value, sync.OnceFunc(func() { s.release(key, found) }), nil
}

func (s *Shared[K, V]) release(key K, used *sharedValue[V]) {
	s.mu.Lock()
	used.users--
	last := used.users == 0
	if last {
		delete(s.used, key)
	}
	s.mu.Unlock()
	if last {
		s.close(used.value)
	}
}
