package restart

import (
	"maps"
	"sync"
	"time"

	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/event"
)

// maxRegistered bounds the Secrets of one namespace in the register, whose people may
// have Lanyard write any number of them.
const maxRegistered = 1000

// Secrets tells which versions the Secrets have that Lanyard writes. Whoever writes
// them says so with Set and Delete. So nothing here reads a Secret.
type Secrets struct {
	now     func() time.Time
	changed chan event.GenericEvent

	mu   sync.Mutex
	full map[string]bool               // namespaces of which the log has told that they have too many
	all  map[string]map[string]written // by namespace and name; maxRegistered in a namespace
}

// written is what a Secret holds.
type written struct {
	versions versions
	since    time.Time
}

// NewSecrets returns a register without Secrets. Its clock is time.Now unless another
// is given.
func NewSecrets(now func() time.Time) *Secrets {
	if now == nil {
		now = time.Now
	}
	return &Secrets{now: now, changed: make(chan event.GenericEvent, 1), full: map[string]bool{}, all: map[string]map[string]written{}}
}

// Set says that a Secret has been written, or found to be, with versions of its keys
// as the engine made them, and when it got these: a zero time stands for now, unless
// the versions are the same as before. A pod whose containers all started later has
// the new values. A Secret too many in its namespace is left out: nothing is rolled out
// for it.
func (s *Secrets) Set(namespace, name string, of map[string]string, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := written{shorten(of), since}
	before, known := s.all[namespace][name]
	if known && maps.Equal(before.versions, next.versions) {
		return
	}
	if !known && len(s.all[namespace]) >= maxRegistered {
		if !s.full[namespace] {
			s.full[namespace] = true
			klog.InfoS("Nothing is restarted for further Secrets of the namespace", "namespace", namespace, "secret", name, "maximum", maxRegistered)
		}
		return
	}
	if since.IsZero() {
		next.since = s.now()
	}
	if s.all[namespace] == nil {
		s.all[namespace] = map[string]written{}
	}
	s.all[namespace][name] = next
	select {
	case s.changed <- event.GenericEvent{}:
	default: // the one that waits there stands for this one too
	}
}

// Delete says that Lanyard writes a Secret no more.
func (s *Secrets) Delete(namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all[namespace], name)
	delete(s.full, namespace)
	if len(s.all[namespace]) == 0 {
		delete(s.all, namespace)
	}
}

// in are the Secrets of a namespace by their names.
func (s *Secrets) in(namespace string) map[string]written {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.all[namespace])
}
