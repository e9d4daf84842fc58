package gcp

import (
	"fmt"
	"net/url"
	"sync"
	"time"

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
	// factTime bounds asking the cluster or the metadata server for a fact.
	factTime = 10 * time.Second
)

// Links are the connections of one type of store or key service, one Link for
// each set of authorities. They are safe for concurrent use.
type Links struct {
	name       string
	now        func() time.Time
	transports *remote.Transports

	mu   sync.Mutex
	open map[remote.TLS]*Link
}

// NewLinks returns Links without connections. Their calls are bounded by calls,
// and counted there under name. now tells the time to their caches; nil means
// time.Now.
func NewLinks(name string, calls *remote.Calls, now func() time.Time) *Links {
	if now == nil {
		now = time.Now
	}
	return &Links{
		name: name, now: now, open: map[remote.TLS]*Link{},
		transports: remote.NewTransports(remote.Options{Calls: calls, MaxAnswer: maxSignInBytes}),
	}
}

// Link is the connections that trust one set of authorities: HTTP for Google's
// identity services, and gRPC for each endpoint that is dialled; and the access
// tokens that were got over them.
type Link struct {
	name      string
	now       func() time.Time
	transport *remote.Transport
	giveBack  func() // of transport
	users     int    // guarded by Links.mu

	granted *credential.Cache[secret.Bytes] // access tokens
	facts   *credential.Cache[string]       // what does not change from call to call

	mu    sync.Mutex
	conns map[string]*Conn // by endpoint
}

// Conn is a gRPC connection to one endpoint, which its users share.
type Conn struct {
	*remote.Conn
	// Endpoint is the URL that was dialled.
	Endpoint string

	link  *Link
	users int // guarded by Link.mu
}

// Acquire returns the link for the authorities and the function that gives it
// back, to be called once. The error wraps fault.ErrInvalid.
func (l *Links) Acquire(trusted remote.TLS) (*Link, func(), error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := l.open[trusted]
	if found == nil {
		transport, release, err := l.transports.Acquire(remote.Route{TLS: trusted})
		if err != nil {
			return nil, nil, err
		}
		found = newLink(l.name, transport, release, l.now)
		l.open[trusted] = found
	}
	found.users++
	return found, sync.OnceFunc(func() { l.release(trusted, found) }), nil
}

func (l *Links) release(trusted remote.TLS, used *Link) {
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
		used.giveBack()
	}
}

func newLink(name string, transport *remote.Transport, release func(), now func() time.Time) *Link {
	return &Link{
		name: name, now: now, transport: transport, giveBack: release, conns: map[string]*Conn{},
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
		made, err := l.dial(endpoint)
		if err != nil {
			return nil, fault.Fail(fault.ErrInvalid, fmt.Errorf("%s is no address that can be dialled", message.Excerpt(endpoint)))
		}
		conn = &Conn{Conn: made, Endpoint: endpoint, link: l}
		l.conns[endpoint] = conn
	}
	conn.users++
	return conn, nil
}

func (l *Link) dial(endpoint string) (*remote.Conn, error) {
	address, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	return l.transport.DialGRPC(address, MaxAnswerBytes)
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
