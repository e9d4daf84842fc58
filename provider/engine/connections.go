package engine

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lanyardhq/lanyard/provider/store"
)

// connection is a store that is open with its whole connection: the type and
// every setting. Classes with equal connections share it, and with it its
// logins; classes with different ones share nothing.
type connection struct {
	id       [sha256.Size]byte
	typeName string
	store    store.Store
	size     int // of the settings as JSON

	users  int       // guarded by connections.mu: plans and reads that hold it
	unused time.Time // when users became zero
}

// connections are the open stores.
type connections struct {
	types map[string]store.Type
	now   func() time.Time

	mu   sync.Mutex
	open map[[sha256.Size]byte]*connection
}

func newConnections(types []store.Type, now func() time.Time) *connections {
	c := &connections{types: map[string]store.Type{}, now: now, open: map[[sha256.Size]byte]*connection{}}
	for _, t := range types {
		c.types[t.Name()] = t
	}
	return c
}

// acquire opens the store or finds it open. The caller releases it. The error
// is the type's own and wraps fault.ErrInvalid.
func (c *connections) acquire(t store.Type, settings store.Settings) (*connection, error) {
	canonical, err := json.Marshal(struct {
		Type     string
		Settings store.Settings
	}{t.Name(), settings})
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(canonical)

	c.mu.Lock()
	defer c.mu.Unlock()
	conn := c.open[id]
	if conn == nil {
		opened, err := t.Open(settings)
		if err != nil {
			return nil, err
		}
		conn = &connection{id: id, typeName: t.Name(), store: opened, size: len(canonical)}
		c.open[id] = conn
	}
	conn.users++
	return conn, nil
}

// retain adds a user to a connection that has one.
func (c *connections) retain(conn *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn.users++
}

func (c *connections) release(conn *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn.users--; conn.users == 0 {
		conn.unused = c.now()
	}
}

const (
	// unusedKept is the most connections that are kept though nothing uses
	// them: a class can define stores that it never reads from.
	unusedKept = 256
	// closingAtOnce bounds the closing of connections, which may have to wait
	// for a store that does not answer.
	closingAtOnce = 64
)

// sweep closes the connections that nothing has used for the idle time, and
// more if too many are unused. A connection outlives its last plan by that much
// so that a reload of the configuration costs no login.
func (c *connections) sweep(idle time.Duration) {
	c.mu.Lock()
	var unused []*connection
	for _, conn := range c.open {
		if conn.users == 0 {
			unused = append(unused, conn)
		}
	}
	slices.SortFunc(unused, func(a, b *connection) int { return a.unused.Compare(b.unused) })
	now, excess := c.now(), len(unused)-unusedKept
	kept := slices.IndexFunc(unused, func(conn *connection) bool { return now.Sub(conn.unused) < idle })
	if kept < 0 {
		kept = len(unused)
	}
	closing := unused[:max(kept, excess)]
	for _, conn := range closing {
		delete(c.open, conn.id)
	}
	c.mu.Unlock()
	var group errgroup.Group
	group.SetLimit(closingAtOnce)
	for _, conn := range closing {
		group.Go(func() error { conn.store.Close(); return nil })
	}
	_ = group.Wait() //nolint:errcheck // there is no error
}
