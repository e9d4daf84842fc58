package remote

import (
	"cmp"
	"context"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
)

// idleConnection is after how long a gRPC connection without calls is closed.
const idleConnection = 5 * time.Minute

// Conn is a gRPC connection to one server.
type Conn struct {
	*grpc.ClientConn

	calls   *Calls
	address string                // that is dialled
	answer  int64                 // the largest one, in bytes
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
	c := &Conn{calls: t.options.Calls, address: t.dialled(address), answer: int64(maxAnswer)}
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

// reserveAnswer reserves the memory that an answer costs beside its bytes, which
// Conn.Call has accounted for, before it is decoded.
func reserveAnswer(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	codec := &reservingCodec{CodecV2: encoding.GetCodecV2(proto.Name)}
	codec.reserve, _ = ctx.Value(reserveKey{}).(func(int64) error)
	if codec.reserve == nil {
		return invoke(ctx, method, req, reply, conn, opts...)
	}
	err := invoke(ctx, method, req, reply, conn, append(opts, grpc.ForceCodecV2(codec))...)
	// gRPC passes on the text of the codec's error alone.
	return cmp.Or(codec.refused, err)
}

// reservingCodec decodes the answer of one call.
type reservingCodec struct {
	encoding.CodecV2

	reserve func(int64) error
	refused error
}

// Unmarshal implements encoding.CodecV2.
func (c *reservingCodec) Unmarshal(data mem.BufferSlice, into any) error {
	if c.refused = c.reserve(int64(data.Len()) * costOfByte); c.refused != nil {
		return c.refused
	}
	return c.CodecV2.Unmarshal(data, into)
}

// Name implements encoding.CodecV2. With the name of the codec within, calls would have
// another content type than that of every other client.
func (c *reservingCodec) Name() string { return "" }

// Call makes one call with do when it has a slot, and room for the largest answer, within
// the timeout. gRPC reads an answer whole before anyone can look at its size. The call is
// observed as the name, with what status makes of do's error. The error is do's,
// wraps ErrNoSlot, or is an *AddressRefusedError.
func (c *Conn) Call(ctx context.Context, observed string, timeout time.Duration, status func(error) int, do func(context.Context) error) error {
	release, err := c.calls.Acquire(ctx, c.address)
	if err != nil {
		return err
	}
	defer release()
	room, err := c.calls.room(ctx, c.address, c.answer)
	if err != nil {
		return err
	}
	defer room.Release()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ctx, done := traceRPC(ctx, observed, c.address)
	start := time.Now()
	err = do(ctx)
	done(status(err))
	if refused := c.refused.Load(); err != nil && refused != nil {
		return *refused
	}
	if c.calls.Observe != nil {
		c.calls.Observe(ctx, observed, status(err), time.Since(start))
	}
	return err
}
