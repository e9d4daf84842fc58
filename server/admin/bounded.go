package admin

import (
	"net"
	"sync"
)

// bounded is a listener with a maximum number of open connections. Beyond it the
// client with most of them loses its oldest, so that none keeps others out: neither
// Prometheus nor the kubelet needs more than a few.
type bounded struct {
	net.Listener
	limit int

	mu    sync.Mutex
	open  map[string][]*connection // by the client's address, the oldest first
	count int
}

func newBounded(l net.Listener, limit int) *bounded {
	return &bounded{Listener: l, limit: limit, open: map[string][]*connection{}}
}

// connection is one that counts until it is closed.
type connection struct {
	net.Conn
	from *bounded
	host string
}

func (b *bounded) Accept() (net.Conn, error) {
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
func (b *bounded) add(c *connection) (excess *connection) {
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
func (b *bounded) remove(c *connection) {
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

func (c *connection) Close() error {
	c.from.mu.Lock()
	c.from.remove(c)
	c.from.mu.Unlock()
	return c.Conn.Close()
}
