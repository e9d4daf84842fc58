// Package vault is the way to HashiCorp Vault, and to what speaks its
// API, such as OpenBao: settings, TLS, connections, logins and calls. The store
// of values and the key service are built on it, so they log in, repeat calls
// and explain failures alike. It knows no path of the API but the logins'.
//
// It never reads VAULT_* or proxy variables of its environment (a command's
// options hand it what they hold), never lets one
// identity use another's login, and never repeats a token in an error.
//
// Start with Pool.Connect and Connection.Call; sessions.go is how logins are
// shared and replaced. The client of github.com/hashicorp/vault/api is not
// used, only its requests and names: api.NewClient reads the environment
// whatever configuration it is given, repeats writes that may have been carried
// out, and reads answers of any size.
package vault

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// Options are what a Pool is made of.
type Options struct {
	// Observed is what calls are observed as: the name of the type of store
	// or key service.
	Observed string
	// Tokens gets the pods' service account tokens for the kubernetes and jwt
	// methods; nil takes those that the driver passed.
	Tokens identity.TokenSource
	// Calls bounds the calls in flight; nil allows 64 at each address.
	Calls *remote.Calls
	// Person is who runs a command; nil where pods are served.
	Person *Person
	// RevokeLeases has Close revoke tokens on which leases hang too, and Vault the leases
	// with them: for who reads for one pod that ends with it.
	RevokeLeases bool
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Person is who runs a command, as Vault's own tools know him.
type Person struct {
	// Token finds the token that settings of AsPerson log in with.
	Token func() (secret.Bytes, error)
	// Address is the one that the token is for. Namespace is used where settings
	// name none. CACertFile holds the authority to trust; empty trusts the
	// system's.
	Address, Namespace, CACertFile string
}

// Pool holds the connections to every address, which all who connect with the
// same address and TLS settings share. It is safe for concurrent use.
type Pool struct {
	tokens     identity.TokenSource
	person     *Person
	now        func() time.Time
	observed   string
	calls      *remote.Calls
	revokes    bool // leases
	transports *remote.Transports
	warned     warned
}

// NewPool returns a Pool without connections.
func NewPool(opts Options) *Pool {
	remote.Defaults(&opts.Tokens, &opts.Calls, &opts.Now)
	return &Pool{tokens: opts.Tokens, person: opts.Person, now: opts.Now, observed: opts.Observed, calls: opts.Calls, revokes: opts.RevokeLeases, transports: remote.NewTransports(remote.Options{Calls: opts.Calls, MaxAnswer: maxAnswerBytes, Person: opts.Person != nil})}
}

// Connect returns a connection with settings that have passed Check, and reads
// the certificate and header files that they name. It makes no call. The error wraps
// fault.ErrInvalid.
func (p *Pool) Connect(settings *Settings) (*Connection, error) {
	if settings.HeadersFile != "" {
		if _, err := readHeaders(settings.HeadersFile); err != nil {
			return nil, fault.Failf(fault.ErrInvalid, "headersFile: %v", err)
		}
	}
	transport, release, err := p.transports.Acquire(remote.Route{TLS: settings.TLS, Network: settings.Network})
	if err != nil {
		return nil, err
	}
	client, err := newClient(settings, transport.Client(p.observed))
	if err != nil {
		release()
		return nil, fault.Failf(fault.ErrInvalid, "address: is not a URL")
	}
	sessions := newSessions(settings, client, p.tokens, p.now)
	sessions.person, sessions.revokesLeases = p.person, p.revokes
	sessions.calls, sessions.observed = p.calls, p.observed
	return &Connection{client: client, sessions: sessions, transport: transport, now: p.now, release: release, warned: &p.warned}, nil
}

// Connection is one way to log in at one address. It is safe for concurrent
// use.
type Connection struct {
	client    *client
	sessions  *sessions
	transport *remote.Transport
	now       func() time.Time
	release   func() // of the transport
	warned    *warned
}

// Attempt is how a call was made.
type Attempt struct {
	Session *Session  // whose token it used
	Start   time.Time // when it was sent
}

// Call makes one call as the identity, after a login if it has none. A refusal
// (403) is believed only from a token that is new, or when a new login has been
// tried lately: the old one may have been revoked, or may lack a policy that
// its role was given since. A call that new tokens are refused too is believed
// for longer and longer. The error wraps a kind of package fault or ctx's; a
// Response that is not OK is the caller's to explain.
func (c *Connection) Call(ctx context.Context, as identity.Identity, r Request) (*Response, Attempt, error) {
	used, isNew, err := c.sessions.get(ctx, as)
	if err != nil {
		return nil, Attempt{}, err
	}
	attempt := Attempt{Session: used, Start: c.now()}
	resp, err := c.CallWith(ctx, used, r)
	if err == nil && resp.Status == http.StatusForbidden && !isNew {
		other, replaced, failed := c.sessions.replace(ctx, as, used, r.name())
		if failed != nil {
			return nil, Attempt{}, failed
		}
		if replaced {
			attempt, isNew = Attempt{Session: other, Start: c.now()}, true
			resp, err = c.CallWith(ctx, other, r)
		}
	}
	if err != nil {
		return nil, Attempt{}, fmt.Errorf("%s: %w", r.What, err)
	}
	refused := resp.Status == http.StatusForbidden
	resp.logsIn = refused && c.sessions.auth.Method != methodPerson
	if isNew || !refused {
		c.sessions.slot(as).judged(r.name(), refused, c.now())
	}
	return resp, attempt, nil
}

// CallWith makes one call with the session's token, without counting its use.
func (c *Connection) CallWith(ctx context.Context, with *Session, r Request) (*Response, error) {
	r.token = with.token
	return c.client.call(ctx, r)
}

// Renew renews the session's token, if that is due.
func (c *Connection) Renew(ctx context.Context, session *Session) error {
	return c.sessions.renew(ctx, session)
}

// Retire takes a session of the identity out of use for further calls.
func (c *Connection) Retire(as identity.Identity, session *Session) {
	c.sessions.slot(as).drop(session)
}

// Who describes the login in errors.
func (c *Connection) Who() string { return c.sessions.who() }

// Now is the time by the Pool's clock.
func (c *Connection) Now() time.Time { return c.now() }

// UsesNode is true if the node's credentials log in, and not the pod's own.
func (c *Connection) UsesNode() bool { return c.sessions.auth.UsesNode() }

// Close ends the logins and releases the transport. No call runs during or
// after it.
func (c *Connection) Close() {
	c.sessions.close()
	c.release()
}
