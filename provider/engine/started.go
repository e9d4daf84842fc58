package engine

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/lanyardhq/lanyard/provider/identity"
)

// What is remembered of volumes is bounded: for one namespace well above what the
// pods of a node have, and in total. A volume that is forgotten counts as one that
// starts, so that its next poll may read what others are served from memory.
const (
	startedOfOne = 1024
	startedMax   = 8192
)

// startedVolume is a volume of a pod: the same class in another pod is another.
type startedVolume struct {
	pod   string
	class [sha256.Size]byte
}

// started knows the volumes for which a mount was answered, by namespace. Any other
// volume belongs to a pod that starts, and what it gets must be what its stores hold
// now: a process may keep it for good.
type started struct {
	now func() time.Time

	mu          sync.Mutex
	total       int
	byNamespace map[string]*simplelru.LRU[startedVolume, time.Time]
}

func newStarted(now func() time.Time) *started {
	return &started{now: now, byNamespace: map[string]*simplelru.LRU[startedVolume, time.Time]{}}
}

// has says whether a mount of the volume was answered before, and keeps it in mind.
func (s *started) has(as identity.Identity, class [sha256.Size]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	of, volume := s.byNamespace[as.Namespace], startedVolume{as.PodUID, class}
	if of == nil || !of.Contains(volume) {
		return false
	}
	of.Add(volume, s.now())
	return true
}

// add notes that a mount of the volume was answered.
func (s *started) add(as identity.Identity, class [sha256.Size]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.byNamespace[as.Namespace]
	if of == nil {
		of = newLRU(startedOfOne, func(startedVolume, time.Time) { s.total-- })
		s.byNamespace[as.Namespace] = of
	}
	volume := startedVolume{as.PodUID, class}
	if !of.Contains(volume) {
		s.total++
	}
	of.Add(volume, s.now())
	if s.total > startedMax {
		s.largest().RemoveOldest()
	}
}

// largest are the volumes of the namespace that has the most.
func (s *started) largest() (largest *simplelru.LRU[startedVolume, time.Time]) {
	for _, of := range s.byNamespace {
		if largest == nil || of.Len() > largest.Len() {
			largest = of
		}
	}
	return largest
}

// sweep forgets the volumes that were not mounted for the idle time.
func (s *started) sweep(idle time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for namespace, of := range s.byNamespace {
		for {
			_, last, ok := of.GetOldest()
			if !ok || s.now().Sub(last) < idle {
				break
			}
			of.RemoveOldest()
		}
		if of.Len() == 0 {
			delete(s.byNamespace, namespace)
		}
	}
}
