package gcp

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/credential"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

const (
	// MaxAnswerBytes bounds an answer. A payload of Secret Manager and a
	// message of Cloud KMS have at most 64 KiB.
	// https://cloud.google.com/secret-manager/quotas
	// https://cloud.google.com/kms/quotas
	MaxAnswerBytes = 256 << 10
	// idleConnection is after how long a connection without calls is closed.
	idleConnection = 5 * time.Minute
	// factTime bounds asking the cluster or the metadata server for a fact.
	factTime = 10 * time.Second
)

// Links are the connections of one type of store or key service, one Link for
// each set of authorities. They are safe for concurrent use.
type Links struct {
	name  string
	calls *remote.Calls
	now   func() time.Time

	mu   sync.Mutex
	open map[TLS]*Link
}

// NewLinks returns Links without connections. Their calls are bounded by calls,
// and counted there under name. now tells the time to their caches; nil means
// time.Now.
func NewLinks(name string, calls *remote.Calls, now func() time.Time) *Links {
	if now == nil {
		now = time.Now
	}
	return &Links{name: name, calls: calls, now: now, open: map[TLS]*Link{}}
}

// Link is the connections that trust one set of authorities: HTTP for Google's
// identity services, and gRPC for each endpoint that is dialled; and the access
// tokens that were got over them.
type Link struct {
	name    string
	calls   *remote.Calls
	now     func() time.Time
	http    *http.Transport
	bounded http.RoundTripper // http, through calls
	trust   *remote.Trust
	users   int // guarded by Links.mu

	granted *credential.Cache[secret.Bytes] // access tokens
	facts   *credential.Cache[string]       // what does not change from call to call

	mu    sync.Mutex
	conns map[string]*Conn // by endpoint
}

// Conn is a gRPC connection to one endpoint, which its users share.
type Conn struct {
	*grpc.ClientConn
	// Endpoint is the URL that was dialled.
	Endpoint string

	link  *Link
	users int // guarded by Link.mu
}

// Acquire returns the link for the authorities and the function that gives it
// back, to be called once. The error wraps fault.ErrInvalid.
func (l *Links) Acquire(trusted TLS) (*Link, func(), error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := l.open[trusted]
	if found == nil {
		trust, problems := trusted.trust()
		if len(problems) > 0 {
			return nil, nil, problems.Err()
		}
		found = newLink(l.name, trust, l.calls, l.now)
		l.open[trusted] = found
	}
	found.users++
	return found, sync.OnceFunc(func() { l.release(trusted, found) }), nil
}

func (l *Links) release(trusted TLS, used *Link) {
	l.mu.Lock()
	used.users--
	last := used.users == 0
	if last {
		delete(l.open, trusted)
	}
	l.mu.Unlock()
	if last {
		used.granted.Close()
		used.facts.Close()
		used.http.CloseIdleConnections()
	}
}

func newLink(name string, trust *remote.Trust, calls *remote.Calls, now func() time.Time) *Link {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	pool := &http.Transport{
		// No Proxy: the node's environment has no say in where tokens go.
		DialContext:         dialer.DialContext,
		DialTLSContext:      trust.DialTLS(dialer.DialContext),
		ForceAttemptHTTP2:   true,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     90 * time.Second,
		// Answers are bounded as they are read; gzip would hide their size.
		DisableCompression: true,
	}
	return &Link{
		name: name, calls: calls, now: now, http: pool, bounded: calls.Transport(name, pool), trust: trust, conns: map[string]*Conn{},
		granted: credential.New[secret.Bytes](credential.Options{Now: now}),
		facts:   credential.New[string](credential.Options{Now: now, Timeout: factTime}),
	}
}

// Dial returns the connection to a checked endpoint, which the caller hangs up
// once. It makes no call: gRPC connects when the first is made.
func (l *Link) Dial(endpoint string) (*Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	conn := l.conns[endpoint]
	if conn == nil {
		made, err := l.connect(endpoint)
		if err != nil {
			return nil, fault.Fail(fault.ErrInvalid, fmt.Errorf("%s is no address that can be dialled", message.Excerpt(endpoint)))
		}
		conn = &Conn{ClientConn: made, Endpoint: endpoint, link: l}
		l.conns[endpoint] = conn
	}
	conn.users++
	return conn, nil
}

func (l *Link) connect(endpoint string) (*grpc.ClientConn, error) {
	address, plain := target(endpoint)
	secure := l.trust.Credentials()
	if plain {
		secure = insecure.NewCredentials()
	}
	return grpc.NewClient("dns:///"+address,
		grpc.WithTransportCredentials(secure),
		grpc.WithNoProxy(),              // as for HTTP
		grpc.WithDisableServiceConfig(), // nor has DNS a say in how calls are made
		grpc.WithUserAgent("lanyard"),
		grpc.WithIdleTimeout(idleConnection),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxAnswerBytes)),
		// A service that was away is noticed to be back within seconds.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
		// A connection that died in silence is given up at the first call
		// after a minute without an answer.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: time.Minute, Timeout: 5 * time.Second}),
	)
}

// HangUp gives the connection back.
func (c *Conn) HangUp() {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.users--; c.users == 0 {
		delete(c.link.conns, c.Endpoint)
		_ = c.Close() //nolint:errcheck // it only fails if it is closed already
	}
}
