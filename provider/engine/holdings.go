package engine

import (
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/share"
)

// maxHoldings bounds what is remembered of volumes, in bytes: a node's 250 pods of 20
// objects each take a quarter of it.
const maxHoldings = 4 << 20

// What a holding takes beside its texts, and for each of its objects and sources.
const (
	holdingCost = 768
	objectKept  = 48
	sourceKept  = 64
)

// holdings remember what each volume holds, as its last mounts left it, for Facts. They
// have no value, and no mount depends on them. Beyond the bound the namespace with most
// loses those that were not mounted for the longest time.
type holdings struct {
	now func() time.Time

	mu        sync.Mutex
	kept      *share.LRUs[holdingKey, *holding]
	cost      int
	taken     map[string]int // the cost by namespace
	forgotten int            // for want of room since the start
}

// holdingKey is one volume: a pod has one of each class.
type holdingKey struct {
	namespace, pod, uid string
	class, dialect      string
}

// holding is what is remembered of a volume. Its slices are never changed.
type holding struct {
	key      holdingKey
	account  string
	identity identityHandle
	outline  *outline // nil until a mount was answered
	versions []Version
	reads    []holdingRead // by the sources of outline

	mounted   time.Time // the first mount that was answered
	lastMount time.Time // the last mount
	answered  time.Time // the last mount that was answered
	failed    time.Time // the first mount since answered that failed; zero if none did
	kind      string    // of the last failure, as in fault.Kind.Word
	text      string    // of the last failure
	cost      int
}

// holdingRead is the read of a value that a volume holds.
type holdingRead struct {
	at      int64  // in nanoseconds since 1970: a time.Time is three times as large
	number  uint64 // held.number
	version string // the store's
	stale   bool   // the value stood in for one that could not be read
	fresh   bool   // the mount read it
}

// outline is what the holdings of one plan have in common.
type outline struct {
	objects []outlinedObject
	sources []outlinedSource
}

// outlinedObject is an object with its index in outline.sources; -1 for a template.
type outlinedObject struct {
	id     string
	source int
}

type outlinedSource struct {
	id                [sha256.Size]byte
	name, label, kind string // what the class and logs call the store, and its type
	refresh, own      time.Duration
}

// outlineOf is the outline of a plan.
func outlineOf(p *plan) *outline {
	o := &outline{objects: make([]outlinedObject, len(p.objects)), sources: make([]outlinedSource, len(p.sources))}
	for i := range p.objects {
		o.objects[i] = outlinedObject{p.objects[i].ID(), p.objects[i].source}
	}
	for i, s := range p.sources {
		o.sources[i] = outlinedSource{s.id, s.name, s.label, s.connection.typeName, s.refresh, s.ownRefresh}
	}
	return o
}

func newHoldings(now func() time.Time) *holdings {
	h := &holdings{now: now, taken: map[string]int{}}
	h.kept = share.NewLRUs(func(key holdingKey) string { return key.namespace }, func(key holdingKey, dropped *holding) {
		h.count(key.namespace, -dropped.cost)
	})
	return h
}

// note takes in what became of a mount: of has the plan and the answers that a volume was
// made of.
func (h *holdings) note(req Request, of *trace, volume *Volume, err error) {
	key := holdingKey{req.Identity.Namespace, req.Identity.Pod, req.Identity.PodUID, req.Class, req.Dialect}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	known, ok := h.kept.Get(key)
	if !ok {
		known = &holding{key: key}
		h.kept.Add(key, known)
	}
	known.lastMount, known.account = now, req.Identity.ServiceAccount
	if err != nil {
		if known.failed.IsZero() {
			known.failed = now
		}
		known.kind, known.text = describeFailure(err)
	} else {
		if known.mounted.IsZero() {
			known.mounted = now
		}
		known.answered, known.failed, known.kind, known.text = now, time.Time{}, "", ""
		known.identity, known.outline, known.versions, known.reads = of.identity, of.outline, volume.Versions, readsOf(of)
	}
	cost := holdingCost + len(key.pod) + len(key.uid) + len(key.class) + len(known.text)
	if known.outline != nil {
		for _, object := range known.outline.objects {
			cost += objectKept + len(object.id)
		}
	}
	for _, version := range known.versions {
		cost += len(version.Version)
	}
	for _, read := range known.reads {
		cost += sourceKept + len(read.version)
	}
	h.count(key.namespace, cost-known.cost)
	for known.cost = cost; h.cost > maxHoldings; h.forgotten++ {
		h.kept.RemoveOldest(share.Largest(h.taken))
	}
}

func readsOf(of *trace) []holdingRead {
	reads := make([]holdingRead, len(of.answers))
	for i, ans := range of.answers {
		reads[i] = holdingRead{
			at: ans.reading.at.UnixNano(), number: ans.held().number, version: ans.held().value.Version,
			stale: ans.stale, fresh: ans.reading.mount == of.mount,
		}
	}
	return reads
}

// describeFailure is the kind and the text of what a mount failed with. The text of another error
// than a MountError may hold a value.
func describeFailure(err error) (kind, text string) {
	var failed *MountError
	if !errors.As(err, &failed) {
		return fault.Of(err).Word, "the mount ended without an answer"
	}
	return fault.Of(failed.Kind).Word, message.Passage(failed.Text)
}

func (h *holdings) count(namespace string, cost int) {
	h.cost += cost
	if h.taken[namespace] += cost; h.taken[namespace] == 0 {
		delete(h.taken, namespace)
	}
}

// all are copies of all holdings, and how many were forgotten for want of room.
func (h *holdings) all() ([]holding, int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]holding, 0, h.kept.Len())
	for _, one := range h.kept.Values() {
		all = append(all, *one)
	}
	return all, h.forgotten
}

// sweep forgets the volumes that were not mounted for the idle time.
func (h *holdings) sweep(idle time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	for _, one := range h.kept.Values() {
		if now.Sub(one.lastMount) >= idle {
			h.kept.Remove(one.key)
		}
	}
}
