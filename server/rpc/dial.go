package rpc

import (
	"context"
	"fmt"
	"net"

	"google.golang.org/grpc"

	"github.com/lanyardhq/lanyard/server/socket"
)

// Dial returns a client of the server at a socket, which must run as root or as the
// process's own user. It connects with the first call.
func Dial(path string) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("passthrough:///socket", grpc.WithAuthority("localhost"),
		grpc.WithTransportCredentials(socket.Credentials(socket.Peers{})),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}))
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	return conn, nil
}
