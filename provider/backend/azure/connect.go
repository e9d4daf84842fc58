// Package azure is what the store and the key service of Azure Key Vault and
// Managed HSM have in common: which vault, as whom, over which connection, and
// what a failure means. It knows nothing of secrets, keys and certificates.
//
// The package gets a token of Microsoft Entra ID for the pod's own service account token
// or client secret, or from the machine's metadata service for the node. The
// package reads no variables of its environment; Microsoft's clients read one
// for a regional endpoint of Entra ID and one for their log. It never sends a
// token to a host that the vault's challenge did not name and the settings do
// not allow, and never repeats the body of an answer in an error.
//
// Start with Pool.Connect and Vault.Call; authorize.go is how a call gets its
// token, login.go where tokens come from. The official clients make the calls,
// without their own credential: their challenge policy knows one identity for
// each client, and fails with a panic on a challenge whose authorization has no
// path (azsecrets v1.5.1).
package azure

import (
	"net/url"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/lanyardhq/lanyard/provider/backend/credential"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// The mean of the first pause before a retry, and the longest.
// https://learn.microsoft.com/azure/key-vault/general/overview-throttling#recommended-client-side-throttling-method
const (
	firstPause = 200 * time.Millisecond
	maxPause   = 20 * time.Second
)

// Options are what a Pool is made of.
type Options struct {
	// Observed is what calls are counted under: the name of the type of store
	// or key service.
	Observed string
	// Tokens gets the pods' service account tokens for workload identity; nil
	// takes those that the driver passed.
	Tokens identity.TokenSource
	// Calls bounds the calls in flight; nil allows 64 at each address.
	Calls *remote.Calls
	// Person is who runs a command, for settings that say AsPerson; nil where
	// pods are served.
	Person *Person
	// Cluster tells the annotations of service accounts; nil means that none are read.
	Cluster credential.Cluster
	// ClusterAllowed reports whether the operator lets Cluster be asked now; nil means
	// always.
	ClusterAllowed func() bool
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Person is who runs a command.
type Person struct {
	// Credential gets the person's access tokens.
	Credential azcore.TokenCredential
}

// Pool holds the connections, which all who connect to one address with the
// same TLS settings share, and the tokens, which all with the same TLS settings
// share. It is safe for concurrent use.
type Pool struct {
	tokens     identity.TokenSource
	person     *Person
	now        func() time.Time
	observed   string
	calls      *remote.Calls
	transports *remote.Transports
	cluster    credential.Cluster
	allowed    func() bool // to ask the cluster

	logins *remote.Shared[way, *logins]
}

// NewPool returns a Pool without connections.
func NewPool(opts Options) *Pool {
	remote.Defaults(&opts.Tokens, &opts.Calls, &opts.Now)
	if opts.ClusterAllowed == nil {
		opts.ClusterAllowed = func() bool { return true }
	}
	p := &Pool{cluster: opts.Cluster, allowed: opts.ClusterAllowed, tokens: opts.Tokens, person: opts.Person, now: opts.Now, observed: opts.Observed, calls: opts.Calls, transports: remote.NewTransports(remote.Options{Calls: opts.Calls, MaxAnswer: maxAnswerBytes, Person: opts.Person != nil})}
	p.logins = remote.NewShared(p.openLogins, (*logins).close)
	return p
}

// Connect returns the vault of settings that have passed Check, and reads the
// certificate file that they name. It makes no call. The error wraps
// fault.ErrInvalid.
func (p *Pool) Connect(config *Settings) (*Vault, error) {
	address, err := url.Parse(config.Address)
	if err != nil {
		return nil, fault.Failf(fault.ErrInvalid, "address: is not a URL")
	}
	transport, release, err := p.transports.Acquire(config.route())
	if err != nil {
		return nil, err
	}
	logins, releaseLogins, err := p.logins.Acquire(config.way())
	if err != nil {
		release()
		return nil, err
	}
	return &Vault{
		pool: p, config: config, hostPort: remote.HostPort(address), now: p.now, over: transport, transport: transporter{transport.Client(p.observed)},
		logins: logins, release: func() { releaseLogins(); release() },
		host:       address.Host,
		backoff:    remote.Backoff{Timeout: config.Timeout, Retries: config.Retries, First: firstPause, Max: maxPause},
		challenges: credential.New[challenge](credential.Options{Now: p.now}),
	}, nil
}

// Vault is a Key Vault or a Managed HSM as one connection's settings name it.
// It is safe for concurrent use.
type Vault struct {
	pool      *Pool
	config    *Settings
	hostPort  string // that the config's address dials
	now       func() time.Time
	over      *remote.Transport
	transport transporter
	logins    *logins
	release   func()         // of the transport and the logins
	host      string         // of the address, with its port
	backoff   remote.Backoff // for the calls of all services

	challenges *credential.Cache[challenge]
}

// Address is the vault's URL.
func (v *Vault) Address() string { return v.config.Address }

// UsesNode is true if the node's identity makes the calls, and not the pod's own.
func (v *Vault) UsesNode() bool { return v.config.Auth.UsesNode() }

// Close releases the connection, and ends the logins under way if nobody else may
// use them. No call runs during or after it.
func (v *Vault) Close() {
	v.challenges.Close()
	v.release()
}
