// Package bounded is a listener with a maximum number of open connections, of which no
// client keeps the others out.
package bounded

import (
	"net"
	"sync"
)

// Listener has a maximum number of open connections. Beyond it the client with most of
// them loses its oldest, so that none keeps others out. It is safe for concurrent use.
type Listener struct {
	net.Listener
	limit int

	mu    sync.Mutex
	open  map[string][]*connection // by the client's address, the oldest first
	count int
}

// New bounds a listener. limit is at least 1.
func New(l net.Listener, limit int) *Listener {
	return &Listener{Listener: l, limit: limit, open: map[string][]*connection{}}
}

// connection is one that counts until it is closed.
type connection struct {
	net.Conn
	from *Listener
	host string
}

// Accept is that of net.Listener.
func (b *Listener) Accept() (net.Conn, error) {
	conn, err := b.Listener.Accept()
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		host = "" // not of TCP
	}
	c := &connection{Conn: conn, from: b, host: host}
	if excess := b.add(c); excess != nil {
		_ = excess.Close() //nolint:errcheck // its client is told by that
	}
	return c, nil
}

// add counts a connection and returns the one that has to end for it, if any.
func (b *Listener) add(c *connection) (excess *connection) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count == b.limit {
		var longest []*connection
		for _, of := range b.open {
			if len(of) > len(longest) {
				longest = of
			}
		}
		excess = longest[0]
		b.remove(excess)
	}
	b.open[c.host] = append(b.open[c.host], c)
	b.count++
	return excess
}

// remove forgets a connection. The caller holds mu.
func (b *Listener) remove(c *connection) {
	of := b.open[c.host]
	for i, one := range of {
		if one != c {
			continue
		}
		b.count--
		if b.open[c.host] = append(of[:i:i], of[i+1:]...); len(of) == 1 {
			delete(b.open, c.host)
		}
	}
}

// Unbound has a connection that a Listener accepted count no longer: whoever keeps it for
// long bounds it.
func Unbound(conn net.Conn) {
	if c, ok := conn.(*connection); ok {
		c.from.mu.Lock()
		defer c.from.mu.Unlock()
		c.from.remove(c)
	}
}

func (c *connection) Close() error {
	c.from.mu.Lock()
	c.from.remove(c)
	c.from.mu.Unlock()
	return c.Conn.Close()
}
