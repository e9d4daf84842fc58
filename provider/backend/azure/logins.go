package azure

import (
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
}

// openLogins opens the logins for the authorities.
func (p *Pool) openLogins(trusted remote.TLS) (*logins, error) {
	made, release, err := p.transports.Acquire(remote.Route{TLS: trusted})
	if err != nil {
		return nil, err
	}
	transport := transporter{made.Client(p.observed)}
	return &logins{
		transport: transport, release: release, discovery: &discovery{transport: transport, now: p.now},
		tokens: credential.New[secret.Bytes](credential.Options{Now: p.now}),
	}, nil
}

// close waits for the logins under way.
func (l *logins) close() {
	l.tokens.Close()
	l.release()
}
