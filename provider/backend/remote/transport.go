package remote

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/provider/fault"
)

const (
	// idleConnections are how many connections to an address wait for the next
	// call: as many as a node's mounts use at once by default.
	idleConnections = 64
	// maxHeaderBytes bounds the header of an answer.
	maxHeaderBytes = 64 << 10
	// dialTime bounds opening one connection, without its handshake.
	dialTime = 5 * time.Second
	// keepAlive is the interval of TCP's own probes.
	keepAlive = 30 * time.Second
)

// Options are what all Transports of one product have in common.
type Options struct {
	// Calls bounds and observes the calls in flight.
	Calls *Calls
	// MaxAnswer is the maximum size of an answer's body in bytes.
	MaxAnswer int64
	// Dial opens the connections for which there is no DialRule; nil means a
	// net.Dialer.
	Dial Dial
	// Person is true where a person runs a command: calls then go through the proxy of
	// the environment, as those of the person's other tools do.
	Person bool
}

// Route is which connections are made, and how. Those with equal Routes share
// them.
type Route struct {
	TLS     TLS
	Network Network
	// Address is a host and port for which Endpoint, another, is dialled; empty
	// if each is dialled as it is. TLS checks the name of Address.
	Address, Endpoint string
}

// Transports are the Transports in use, one for each Route, so that a node's many
// identities share connections. They are safe for concurrent use.
type Transports struct{ shared *Shared[Route, *Transport] }

// NewTransports returns Transports without connections.
func NewTransports(options Options) *Transports {
	if options.Dial == nil {
		options.Dial = (&net.Dialer{Timeout: dialTime, KeepAlive: keepAlive}).DialContext
	}
	return &Transports{NewShared(
		func(route Route) (*Transport, error) {
			trust, err := route.TLS.trust()
			if err != nil {
				return nil, fault.Fail(fault.ErrInvalid, err)
			}
			dialer, err := newDialer(route.Network, options.Dial, options.Person)
			if err != nil {
				return nil, fault.Fail(fault.ErrInvalid, err)
			}
			options.Calls.Certificates.add(route.TLS.ClientCertFile, 1)
			return newTransport(options, route, trust, dialer), nil
		},
		func(t *Transport) {
			t.options.Calls.Certificates.add(t.route.TLS.ClientCertFile, -1)
			t.pool.CloseIdleConnections()
		},
	)}
}

// Acquire returns the Transport of the route and the function that gives it back.
// It reads the certificate files that the route names, and makes no call. The error
// wraps fault.ErrInvalid.
func (t *Transports) Acquire(route Route) (*Transport, func(), error) { return t.shared.Acquire(route) }

// Transport makes HTTP and gRPC connections over one Route. Its environment has
// no say in where they go. It is safe for concurrent use.
type Transport struct {
	options Options
	route   Route
	trust   *Trust
	dialer  *dialer
	pool    *http.Transport
}

func newTransport(options Options, route Route, trust *Trust, dialer *dialer) *Transport {
	t := &Transport{options: options, route: route, trust: trust, dialer: dialer}
	t.pool = &http.Transport{
		// No Proxy: dial knows the operator's, and the node's environment has no
		// say in where tokens go.
		DialContext:            t.dial,
		DialTLSContext:         trust.DialTLS(t.dial),
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
		MaxIdleConnsPerHost:    idleConnections,
		MaxResponseHeaderBytes: maxHeaderBytes,
		IdleConnTimeout:        90 * time.Second,
		ExpectContinueTimeout:  time.Second,
		// Answers are bounded as they are read; gzip would hide their size.
		DisableCompression: true,
	}
	return t
}

// dial opens the connection for an address: the one place that does.
func (t *Transport) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return t.dialer.dial(ctx, network, t.dialled(address))
}

// dialled is the host and port that are dialled for an address.
func (t *Transport) dialled(address string) string {
	if t.route.Endpoint != "" && address == t.route.Address {
		return t.route.Endpoint
	}
	return address
}

// Client makes HTTP calls that are observed as the name, within their slots and the
// bounds of answers. It follows no redirect: a token or a signature is for the host
// that the settings name, and for no other.
func (t *Transport) Client(observed string) *http.Client {
	return &http.Client{Transport: t.RoundTripper(observed), CheckRedirect: followNever}
}

func followNever(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// RoundTripper is Client without its rule for redirects.
func (t *Transport) RoundTripper(observed string) http.RoundTripper {
	return t.options.Calls.Transport(observed, func(to *url.URL) string { return t.dialled(HostPort(to)) }, roundTripper(func(req *http.Request) (*http.Response, error) {
		if req.Body != nil && req.Body != http.NoBody {
			sent := *req
			sent.Body = sentBody{req.Body}
			req = &sent
		}
		resp, err := t.pool.RoundTrip(req)
		if err == nil {
			bound(req.Context(), resp, t.options.MaxAnswer)
		}
		return resp, err
	}))
}

// sentBody is the body of a request, whose Close does not fail. That of the AWS SDK fails
// when it was closed before, which the SDK does once it has the answer's header; net/http
// would then close the connection, with the answer's body half read.
type sentBody struct{ io.ReadCloser }

// Close implements io.Closer.
func (b sentBody) Close() error {
	_ = b.ReadCloser.Close() //nolint:errcheck // see above
	return nil
}

// HostPort is the host and port of a URL, in lower case, with the port that its
// scheme implies.
func HostPort(address *url.URL) string {
	port := address.Port()
	switch {
	case port != "":
	case address.Scheme == "http":
		port = "80"
	default:
		port = "443"
	}
	return net.JoinHostPort(strings.ToLower(address.Hostname()), port)
}
