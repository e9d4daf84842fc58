package socket

import (
	"net"
	"sync"
)

// Bound returns a listener that closes the connections of other users than peers at
// once, and those beyond limit, of which it tells full. So a connection that is
// refused costs no memory. Each connection that it returns counts until it is closed.
func Bound(l net.Listener, peers Peers, limit int, full func()) net.Listener {
	return &bound{Listener: l, peers: peers, full: full, slots: make(chan struct{}, limit)}
}

type bound struct {
	net.Listener
	peers Peers
	full  func()
	slots chan struct{}
}

func (b *bound) Accept() (net.Conn, error) {
	for {
		conn, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		unix, ok := conn.(*net.UnixConn)
		peer, err := peerOf(conn)
		if !ok || err != nil || !b.peers.may(peer) {
			if err == nil && b.peers.Refused != nil {
				b.peers.Refused(peer)
			}
			_ = conn.Close() //nolint:errcheck // nothing was said on it
			continue
		}
		select {
		case b.slots <- struct{}{}:
			return &counted{UnixConn: unix, leave: sync.OnceFunc(func() { <-b.slots })}, nil
		default:
			b.full()
			_ = conn.Close() //nolint:errcheck // nothing was said on it
		}
	}
}

// counted is a connection that gives its slot back when it is closed. Its type keeps
// the methods by which the kernel is asked who is at the other end.
type counted struct {
	*net.UnixConn
	leave func()
}

func (c *counted) Close() error {
	defer c.leave()
	return c.UnixConn.Close()
}
