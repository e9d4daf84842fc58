//go:build !linux

package socket

import (
	"errors"
	"net"
)

// peerOf refuses: the provider runs on Linux nodes, and the rest of the command
// line needs no socket.
func peerOf(net.Conn) (Peer, error) {
	return Peer{}, errors.New("the provider's socket needs Linux")
}
