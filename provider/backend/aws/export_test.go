package aws

import (
	"context"
	"net"
)

// DialWith makes all connections of the platform with dial.
func (p *Platform) DialWith(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	p.pool.transport.DialContext = dial
}
