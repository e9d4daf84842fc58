package engine

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/lanyardhq/lanyard/provider/share"
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
	// audiences are those of the pods' tokens that it logs in with.
	audiences []string

	namespace string // that opened it first; empty for the operator's configuration

	users  int       // guarded by connections.mu: plans and reads that hold it
	unused time.Time // when users became zero
}

// connections are the open stores.
type connections struct {
	types map[string]store.Type
	now   func() time.Time
	// closing are the connections that are being closed; work counts them.
	closing *share.Pool
	work    sync.WaitGroup

	mu   sync.Mutex
	open map[[sha256.Size]byte]*connection
}

func newConnections(types []store.Type, now func() time.Time, closing *share.Pool) *connections {
	c := &connections{types: map[string]store.Type{}, now: now, closing: closing, open: map[[sha256.Size]byte]*connection{}}
	for _, t := range types {
		c.types[t.Name()] = t
	}
	return c
}

// acquire opens the store for a namespace or finds it open. The caller releases it. The error
// is the type's own and wraps fault.ErrInvalid.
func (c *connections) acquire(namespace string, t store.Type, settings store.Settings) (*connection, error) {
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
		conn = &connection{id: id, typeName: t.Name(), store: opened, size: len(canonical), namespace: namespace}
		if taker, ok := t.(store.TokenTaker); ok {
			conn.audiences = taker.Audiences(settings)
		}
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

// unusedKept is the most connections that are kept though nothing uses them: a class
// can define stores that it never reads from.
const unusedKept = 256

// sweep begins to close the connections that nothing has used for the idle time, and
// more if too many are unused: the oldest of the namespace that has the most of them. A
// connection outlives its last plan by that much so that a reload of the configuration
// costs no login. Closing may have to wait for a store that does not answer.
func (c *connections) sweep(idle time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	unused, of, now, kept := map[string][]*connection{}, map[string]int{}, c.now(), 0
	for _, conn := range c.open {
		switch {
		case conn.users > 0:
		case now.Sub(conn.unused) >= idle:
			c.close(conn)
		default:
			unused[conn.namespace] = append(unused[conn.namespace], conn)
			of[conn.namespace]++
			kept++
		}
	}
	if kept <= unusedKept {
		return
	}
	for _, conns := range unused {
		slices.SortFunc(conns, func(a, b *connection) int { return a.unused.Compare(b.unused) })
	}
	for ; kept > unusedKept; kept-- {
		from := share.Largest(of)
		c.close(unused[from][0])
		unused[from] = unused[from][1:]
		of[from]--
	}
}

// close begins to close a connection. It is called with mu held.
func (c *connections) close(conn *connection) {
	delete(c.open, conn.id)
	c.work.Go(func() {
		turn, err := c.closing.Acquire(context.Background(), conn.namespace, 1)
		if err == nil { // always: the context does not end
			defer turn.Release()
		}
		conn.store.Close()
	})
}

// closeAll closes all connections that nothing uses, and waits for it.
func (c *connections) closeAll() {
	c.sweep(0)
	c.work.Wait()
}
