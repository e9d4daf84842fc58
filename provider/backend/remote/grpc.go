package remote

import (
	"context"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/proto"
)

// idleConnection is after how long a gRPC connection without calls is closed.
const idleConnection = 5 * time.Minute

// Conn is a gRPC connection to one server.
type Conn struct {
	*grpc.ClientConn

	calls   *Calls
	address string                // that is dialled
	refused atomic.Pointer[error] // of the last dial, if a DialRule refused it
}

// DialGRPC returns a connection to the server of a URL, in plain text if its scheme
// is http. It makes no call: gRPC connects when the first is made. Answers are
// bounded to maxAnswer bytes.
func (t *Transport) DialGRPC(endpoint *url.URL, maxAnswer int) (*Conn, error) {
	secure := t.trust.Credentials()
	if endpoint.Scheme == "http" {
		secure = insecure.NewCredentials()
	}
	address := HostPort(endpoint)
	c := &Conn{calls: t.options.Calls, address: t.dialled(address)}
	// The dialer gets the name, which DialRules and proxies know.
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(secure),
		grpc.WithNoProxy(), // as for HTTP
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			conn, err := t.dial(ctx, "tcp", address)
			if c.refused.Store(nil); IsRefused(err) {
				c.refused.Store(&err)
			}
			return conn, err
		}),
		grpc.WithDisableServiceConfig(), // nor has DNS a say in how calls are made
		grpc.WithUserAgent("lanyard"),
		grpc.WithIdleTimeout(idleConnection),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
		grpc.WithUnaryInterceptor(reserveAnswer),
		// A service that was away is noticed to be back within seconds.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
			MinConnectTimeout: dialTime,
		}),
		// A connection that died in silence is given up at the first call
		// after a minute without an answer.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: time.Minute, Timeout: 5 * time.Second}),
	)
	if err != nil {
		return nil, err
	}
	c.ClientConn = conn
	return c, nil
}

// reserveAnswer reserves the memory of an answer, which gRPC reads whole, before anyone
// looks at it.
func reserveAnswer(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if err := invoke(ctx, method, req, reply, conn, opts...); err != nil {
		return err
	}
	answer, ok := reply.(proto.Message)
	if reserve, bounded := ctx.Value(reserveKey{}).(func(int64) error); bounded && ok {
		return reserve(int64(proto.Size(answer)) * costOfByte)
	}
	return nil
}

// Call makes one call with do when it has a slot, within the timeout. It is
// observed as the name, with what status makes of do's error. The error is do's,
// wraps ErrNoSlot, or is an *AddressRefusedError.
func (c *Conn) Call(ctx context.Context, observed string, timeout time.Duration, status func(error) int, do func(context.Context) error) error {
	release, err := c.calls.Acquire(ctx, c.address)
	if err != nil {
		return err
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	start := time.Now()
	err = do(ctx)
	if refused := c.refused.Load(); err != nil && refused != nil {
		return *refused
	}
	if c.calls.Observe != nil {
		c.calls.Observe(ctx, observed, status(err), time.Since(start))
	}
	return err
}
