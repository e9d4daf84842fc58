package engine

import (
	"cmp"
	"crypto/sha256"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
)

// Facts are what an Engine tells of itself to those who run it. There is no value, token
// or ciphertext in them, and every text is one line of bounded length. Lists are sorted.
type Facts struct {
	// Stores are those of the configuration, and under their common names those that
	// classes define and logins that several stores share, once they were called.
	Stores []StoreFacts `json:"stores"`
	// Volumes are those that were mounted within cache.idle: the driver polls them while
	// rotation is on.
	Volumes []VolumeFacts `json:"volumes"`
	// VolumesForgotten is how many volumes are not listed though they may still be
	// mounted, because what is remembered of volumes is bounded, since the start.
	VolumesForgotten int `json:"volumesForgotten,omitempty"`
	// Leases are those that are kept alive for pods.
	Leases []LeaseFacts `json:"leases"`
	// Cache is what is in memory.
	Cache CacheFacts `json:"cache"`
}

// The states of a store.
const (
	StoreUp      = "up"        // it answered the last read
	StoreDown    = "down"      // it was unavailable
	StoreUnasked = "not asked" // nothing was read from it yet
)

// StoreFacts are one store.
type StoreFacts struct {
	// Name is the operator's, or class-defined or shared.
	Name string `json:"name"`
	// Type is the kind of store; empty for those that classes define.
	Type string `json:"type,omitempty"`
	// State is StoreUp, StoreDown or StoreUnasked.
	State string `json:"state"`
	// Since is when the outage began; zero unless the store is down.
	Since time.Time `json:"since,omitzero"`
	// Calls are the remote calls since the start, logins and renewals among them.
	Calls uint64 `json:"calls"`
	// Reads are the values read and leases renewed since the start, and Failures those of
	// them that failed.
	Reads    uint64 `json:"reads"`
	Failures uint64 `json:"failures"`
	// LatencySeconds is the mean time of the latest calls until their answer began, in
	// which a call counts a sixteenth of all before it.
	LatencySeconds float64 `json:"latencySeconds"`
	// Error is the last failure, which may be over; LastFailure is when it was.
	Error       string    `json:"error,omitempty"`
	LastFailure time.Time `json:"lastFailure,omitzero"`
}

// The states of a volume.
const (
	VolumeOK     = "ok"     // the last mount was answered with values that were not due
	VolumeStale  = "stale"  // it was answered, with values that stand in for a store that is down
	VolumeFailed = "failed" // it failed; the pod has what it had before
)

// VolumeFacts are one volume of a pod, or of an object of the sync controller, for which
// Pod is empty and PodUID the object's UID.
type VolumeFacts struct {
	Namespace      string `json:"namespace"`
	Pod            string `json:"pod,omitempty"`
	PodUID         string `json:"podUID"`
	ServiceAccount string `json:"serviceAccount"`
	// Class is the SecretProviderClass, or the object that asks for values.
	Class string `json:"class"`
	// Dialect is the provider name that it was written for.
	Dialect string `json:"dialect"`
	// Mounted is the first mount that was answered, Answered the last one, and Polled the
	// last one, answered or not; zero if there was none. A process that restarts forgets them.
	Mounted  time.Time `json:"mounted,omitzero"`
	Answered time.Time `json:"answered,omitzero"`
	Polled   time.Time `json:"polled"`
	// State is VolumeOK, VolumeStale or VolumeFailed.
	State string `json:"state"`
	// Error is why the last mount failed, Kind the kind of failure as metrics call it, and
	// Since the first failure in a row; empty unless State is VolumeFailed.
	Error string    `json:"error,omitempty"`
	Kind  string    `json:"kind,omitempty"`
	Since time.Time `json:"since,omitzero"`
	// Objects are what the last mount that was answered delivered, in the class's order.
	Objects []ObjectFacts `json:"objects"`
}

// Where the value of an object came from with the last mount.
const (
	FromStore    = "store"
	FromCache    = "cache"
	FromTemplate = "template"
	FromAbsent   = "absent" // the object is optional and the store has no such secret
)

// ObjectFacts are one object of a volume.
type ObjectFacts struct {
	// Object is the object's ID as SecretProviderClassPodStatus has it: its path or name.
	Object string `json:"object"`
	// Version is that of the file, as SecretProviderClassPodStatus has it.
	Version string `json:"version,omitempty"`
	// Store is the store as the class calls it, StoreName as the configuration does, or
	// class-defined; empty for a template.
	Store     string `json:"store,omitempty"`
	StoreName string `json:"storeName,omitempty"`
	StoreType string `json:"storeType,omitempty"`
	// StoreVersion is the store's own version of the value, where it has one.
	StoreVersion string `json:"storeVersion,omitempty"`
	// Source is FromStore, FromCache, FromTemplate or FromAbsent.
	Source string `json:"source"`
	// Read is when the value was last read, by whichever mount; zero for a template.
	Read time.Time `json:"read,omitzero"`
	// Due is when the value is to be read again with the next poll; zero where memory does
	// not hold it any more.
	Due time.Time `json:"due,omitzero"`
	// LeaseEnd is when the value stops working, unless its lease is renewed.
	LeaseEnd time.Time `json:"leaseEnd,omitzero"`
	// Stale says that the value stands in for one that could not be read.
	Stale bool `json:"stale,omitempty"`
	// Behind says that another value was read since; the pod gets it with its next poll.
	Behind bool `json:"behind,omitempty"`
	// Lagging says that the store answers with an earlier version than the one served, as a
	// replica does that lags behind.
	Lagging bool `json:"lagging,omitempty"`
}

// The states of a lease.
const (
	LeaseOK     = "ok"
	LeaseEnding = "ending" // it ends soon, and no renewal or poll has brought a longer one
	LeaseEnded  = "ended"  // the store refused to renew it, or its time is over
)

// LeaseFacts are one lease.
type LeaseFacts struct {
	Namespace      string `json:"namespace"`
	ServiceAccount string `json:"serviceAccount"`
	Pod            string `json:"pod,omitempty"` // empty if its volume is not listed
	PodUID         string `json:"podUID"`
	// Objects are those of the listed volumes that hold the value.
	Objects []string `json:"objects,omitempty"`
	// Store is the operator's name of the store, or class-defined.
	Store     string `json:"store"`
	StoreType string `json:"storeType"`
	// State is LeaseOK, LeaseEnding or LeaseEnded.
	State string `json:"state"`
	// Expires is the end, and Renews the next renewal; zero if there is none.
	Expires time.Time `json:"expires"`
	Renews  time.Time `json:"renews,omitzero"`
}

// CacheFacts are what is in memory, and whose it is.
type CacheFacts struct {
	// Bytes is what values and volumes take, of at most Bound.
	Bytes int64 `json:"bytes"`
	Bound int64 `json:"bound"`
	// Entries are the values, Volumes the volumes made of them, and Leases those among the
	// values that have one.
	Entries int `json:"entries"`
	Volumes int `json:"volumes"`
	Leases  int `json:"leases"`
	// Shares are the namespaces, those with most first. When the cache is full, the first
	// loses its own.
	Shares []ShareFacts `json:"shares"`
}

// ShareFacts are a namespace's share of the cache.
type ShareFacts struct {
	Namespace string `json:"namespace"`
	Bytes     int64  `json:"bytes"`
}

// Facts are what the engine knows now. It keeps no mount waiting: the locks are held for
// the objects of one volume at a time.
func (e *Engine) Facts() *Facts {
	config := &e.current.Load().config
	f := &Facts{Stores: e.metrics.stores.facts(config, e.metrics.outages.States())}
	all, forgotten := e.holdings.all()
	f.VolumesForgotten = forgotten
	slices.SortFunc(all, func(a, b holding) int {
		return cmp.Or(cmp.Compare(a.key.namespace, b.key.namespace), cmp.Compare(a.key.pod, b.key.pod), cmp.Compare(a.key.uid, b.key.uid), cmp.Compare(a.key.class, b.key.class), cmp.Compare(a.key.dialect, b.key.dialect))
	})
	leased := map[leasedBy]*leasedObjects{}
	f.Volumes = make([]VolumeFacts, len(all))
	for i := range all {
		now := e.cache.lookUp(&all[i])
		f.Volumes[i] = all[i].facts(now, storeLabelOf(config), leased)
	}
	f.Leases = e.cache.leaseFacts(storeLabelOf(config), leased)
	f.Cache = e.cache.facts(int64(config.Cache.Bytes))
	return f
}

// lookedUp is what the cache has of a source now.
type lookedUp struct {
	number   uint64 // held.number; zero for nothing
	read     time.Time
	due      time.Time
	leaseEnd time.Time
	lagging  bool
}

// lookUp is what the cache has of the sources of a holding.
func (c *cache) lookUp(of *holding) []lookedUp {
	if of.outline == nil {
		return nil
	}
	all := make([]lookedUp, len(of.outline.sources))
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, s := range of.outline.sources {
		key := cacheKey{identity: of.identity, source: s.id, pod: podKey(of.key.uid)}
		e, ok := c.owned.Peek(key)
		if !ok {
			key.pod = ""
			e, ok = c.entries.Peek(key)
		}
		if !ok || e.held == nil {
			continue
		}
		all[i] = lookedUp{number: e.held.number, read: e.reading.at, due: e.due(&source{refresh: s.refresh, ownRefresh: s.own}), lagging: !e.behind.since.IsZero()}
		if e.lease != nil {
			all[i].leaseEnd = e.lease.Expires
		}
	}
	return all
}

// leasedBy is a lease by its pod and source.
type leasedBy struct {
	pod    string
	source [sha256.Size]byte
}

// leasedObjects are the objects that hold the value of a lease.
type leasedObjects struct {
	pod     string
	objects []string
}

// facts are those of a volume, of whose sources the cache has now. It notes the objects
// whose values have leases.
func (h *holding) facts(now []lookedUp, label func(string) string, leased map[leasedBy]*leasedObjects) VolumeFacts {
	f := VolumeFacts{
		Namespace: message.Printable(h.key.namespace), Pod: message.Printable(h.key.pod), PodUID: message.Printable(h.key.uid),
		ServiceAccount: message.Printable(h.account), Class: message.Printable(h.key.class), Dialect: message.Printable(h.key.dialect),
		Mounted: h.mounted, Answered: h.answered, Polled: h.lastMount, State: VolumeOK, Objects: []ObjectFacts{},
	}
	if h.outline != nil {
		versions := make(map[string]string, len(h.versions))
		for _, v := range h.versions {
			versions[v.ID] = v.Version
		}
		f.Objects = make([]ObjectFacts, len(h.outline.objects))
		for i, o := range h.outline.objects {
			at := &f.Objects[i]
			*at = ObjectFacts{Object: message.Printable(o.id), Version: versions[o.id], Source: FromTemplate}
			if o.source >= 0 {
				h.objectFacts(at, o.source, now[o.source], label)
				if !at.LeaseEnd.IsZero() {
					by := leasedBy{podKey(h.key.uid), h.outline.sources[o.source].id}
					if leased[by] == nil {
						leased[by] = &leasedObjects{pod: f.Pod}
					}
					leased[by].objects = append(leased[by].objects, at.Object)
				}
			}
			if at.Version == absent {
				at.Version, at.Source = "", FromAbsent
			}
			if at.Stale {
				f.State = VolumeStale
			}
		}
	}
	if !h.failed.IsZero() {
		f.State, f.Error, f.Kind, f.Since = VolumeFailed, h.text, h.kind, h.failed
	}
	return f
}

// objectFacts adds what is known of an object's source.
func (h *holding) objectFacts(to *ObjectFacts, index int, now lookedUp, label func(string) string) {
	s, read := &h.outline.sources[index], &h.reads[index]
	to.Store, to.StoreName, to.StoreType = message.Printable(s.name), label(s.label), s.kind
	to.StoreVersion, to.Stale, to.Source = message.Printable(read.version), read.stale, FromCache
	if read.fresh {
		to.Source = FromStore
	}
	to.Read = time.Unix(0, read.at).UTC()
	if now.number == 0 {
		return
	}
	to.Due, to.LeaseEnd, to.Lagging = now.due, now.leaseEnd, now.lagging
	if to.Behind = now.number != read.number; !to.Behind {
		to.Read, to.Stale = now.read, read.stale && !now.read.After(to.Read)
	}
}

// leaseFacts are the leases, those that end first first.
func (c *cache) leaseFacts(label func(string) string, leased map[leasedBy]*leasedObjects) []LeaseFacts {
	now := c.now()
	all := c.allLeases()
	facts := make([]LeaseFacts, len(all))
	for i, of := range all {
		l, one := &of.lease, &facts[i]
		*one = LeaseFacts{
			Namespace: message.Printable(of.key.namespace()), ServiceAccount: message.Printable(of.key.identity.Value().ServiceAccount),
			PodUID: message.Printable(strings.TrimPrefix(of.key.pod, podKey(""))), Store: label(l.label), StoreType: l.conn.typeName,
			State: LeaseOK, Expires: l.Expires,
		}
		if objects := leased[leasedBy{of.key.pod, of.key.source}]; objects != nil {
			one.Pod, one.Objects = objects.pod, objects.objects
		}
		switch {
		case !l.works(now):
			one.State = LeaseEnded
		case l.endsSoon(now):
			one.State = LeaseEnding
		}
		if l.Renew != nil && !l.dead {
			one.Renews = l.renewAt
		}
	}
	return facts
}

// keyedLease is a lease as it was when it was looked at.
type keyedLease struct {
	key   cacheKey
	lease lease
}

// allLeases are copies of the leases, those that end first first, and else in the order of
// what they are of. The lock is held for the copies alone.
func (c *cache) allLeases() []*keyedLease {
	c.mu.Lock()
	all := make([]*keyedLease, 0, len(c.leases))
	for e := range c.leases {
		all = append(all, &keyedLease{e.key, *e.lease})
	}
	c.mu.Unlock()
	slices.SortFunc(all, func(a, b *keyedLease) int {
		if order := a.lease.Expires.Compare(b.lease.Expires); order != 0 {
			return order
		}
		return cmp.Or(cmp.Compare(a.key.namespace(), b.key.namespace()), cmp.Compare(a.key.pod, b.key.pod), slices.Compare(a.key.source[:], b.key.source[:]))
	})
	return all
}

// facts are those of the cache, which may hold so many bytes.
func (c *cache) facts(bound int64) CacheFacts {
	f := CacheFacts{Bound: bound, Shares: []ShareFacts{}}
	c.mu.Lock()
	f.Bytes, f.Entries, f.Volumes, f.Leases = c.bytes, c.entries.Len()+c.owned.Len(), c.volumes.Len(), len(c.leases)
	taken := maps.Clone(c.taken)
	c.mu.Unlock()
	for namespace, bytes := range taken {
		f.Shares = append(f.Shares, ShareFacts{message.Printable(namespace), bytes})
	}
	slices.SortFunc(f.Shares, func(a, b ShareFacts) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Namespace, b.Namespace))
	})
	return f
}
