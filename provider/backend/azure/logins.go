package azure

import (
	"sync"

	"github.com/lanyardhq/lanyard/provider/backend/credential"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// logins are what all vaults with the same authorities share for their logins:
// the connections to Entra ID and to the machine's metadata service, and the
// tokens that were got over them. A token that another set of authorities vouched
// for is never shared.
type logins struct {
	transport transporter
	tokens    *credential.Cache[secret.Bytes]
	discovery *discovery
	release   func() // of the transport
	users     int    // guarded by Pool.mu
}

// acquireLogins returns the logins for the authorities and the function that gives
// them back, to be called once. The last waits for the logins under way.
func (p *Pool) acquireLogins(trusted remote.TLS) (*logins, func(), error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	shared := p.logins[trusted]
	if shared == nil {
		made, release, err := p.transports.Acquire(remote.Route{TLS: trusted})
		if err != nil {
			return nil, nil, err
		}
		transport := transporter{made.Client(p.observed)}
		shared = &logins{
			transport: transport, release: release, discovery: &discovery{transport: transport, now: p.now},
			tokens: credential.New[secret.Bytes](credential.Options{Now: p.now}),
		}
		p.logins[trusted] = shared
	}
	shared.users++
	return shared, sync.OnceFunc(func() { p.releaseLogins(trusted, shared) }), nil
}

func (p *Pool) releaseLogins(trusted remote.TLS, used *logins) {
	p.mu.Lock()
	used.users--
	last := used.users == 0
	if last {
		delete(p.logins, trusted)
	}
	p.mu.Unlock()
	if last {
		used.tokens.Close()
		used.release()
	}
}
