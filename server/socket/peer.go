package socket

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"

	"google.golang.org/grpc/credentials"
)

// Peer is the process at the other end of a connection, as the kernel knows
// it; it is what gRPC's peer.FromContext holds as AuthInfo.
type Peer struct {
	credentials.CommonAuthInfo
	UID, GID uint32
	// PID is zero if the process is in a PID namespace that ours cannot see.
	PID int32
}

// AuthType implements credentials.AuthInfo.
func (Peer) AuthType() string { return "unix-peer" }

// Peers says who may connect: root and the process's own user, always.
type Peers struct {
	// UIDs may connect too.
	UIDs []uint32
	// Refused, if set, is called with every peer that was refused.
	Refused func(Peer)
}

// may says whether a peer may connect.
func (p Peers) may(peer Peer) bool {
	return peer.UID == 0 || int(peer.UID) == os.Geteuid() || slices.Contains(p.UIDs, peer.UID)
}

// Credentials are gRPC's transport credentials for a unix socket: they encrypt
// nothing, for nothing leaves the kernel, and they end the connection if the
// process at the other end does not run as one of peers. A server checks its
// clients with them and a client its server.
func Credentials(peers Peers) credentials.TransportCredentials { return transport{peers} }

type transport struct{ peers Peers }

func (t transport) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	peer, err := peerOf(conn)
	if err != nil {
		return nil, nil, err
	}
	if !t.peers.may(peer) {
		if t.peers.Refused != nil {
			t.peers.Refused(peer)
		}
		return nil, nil, fmt.Errorf("process %d runs as uid %d, which may not connect", peer.PID, peer.UID)
	}
	return conn, peer, nil
}

func (t transport) ClientHandshake(_ context.Context, _ string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return t.ServerHandshake(conn)
}

func (t transport) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "unix-peer"}
}

func (t transport) Clone() credentials.TransportCredentials { return t }

// OverrideServerName implements credentials.TransportCredentials; a unix
// socket has no server name.
func (t transport) OverrideServerName(string) error { return nil }
