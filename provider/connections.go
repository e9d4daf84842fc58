package provider

import (
	"crypto/sha256"
	"encoding/json"
	"sync"
	"time"

	"github.com/lanyardhq/lanyard/provider/store"
)

// connection is a store that is open with its whole connection: the type and
// every setting. Classes with equal connections share it, and with it its
// logins; classes with different ones share nothing.
type connection struct {
	id       [sha256.Size]byte
	typeName string
	store    store.Store

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
// is the type's own and wraps store.ErrInvalid.
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
		conn = &connection{id: id, typeName: t.Name(), store: opened}
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

// sweep closes the connections that nothing has used for the idle time. A
// connection outlives its last plan by that much so that a reload of the
// configuration costs no login.
func (c *connections) sweep(idle time.Duration) {
	c.mu.Lock()
	var closing []*connection
	for id, conn := range c.open {
		if conn.users == 0 && c.now().Sub(conn.unused) >= idle {
			delete(c.open, id)
			closing = append(closing, conn)
		}
	}
	c.mu.Unlock()
	for _, conn := range closing {
		conn.store.Close()
	}
}
