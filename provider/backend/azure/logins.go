package azure

import (
	"github.com/lanyardhq/lanyard/provider/backend/credential"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// logins are what all vaults with the same authorities and the same way to Entra ID
// share for their logins: the connections to it and to the machine's metadata
// service, and the tokens that were got over them. A token that another set of
// authorities vouched for is never shared.
type logins struct {
	transport transporter // to Entra ID
	metadata  transporter
	tokens    *credential.Cache[secret.Bytes]
	discovery *discovery
	release   func() // of the transports
}

// openLogins opens the logins of a route.
func (p *Pool) openLogins(route remote.Route) (*logins, error) {
	made, releaseMade, err := p.transports.Acquire(route)
	if err != nil {
		return nil, err
	}
	// Only the operator says where the metadata service is.
	local, releaseLocal, err := p.transports.Acquire(remote.Route{TLS: route.TLS})
	if err != nil {
		releaseMade()
		return nil, err
	}
	release := func() { releaseMade(); releaseLocal() }
	transport := transporter{made.Client(p.observed)}
	return &logins{
		transport: transport, metadata: transporter{local.Client(p.observed)}, release: release, discovery: &discovery{transport: transport, now: p.now},
		tokens: credential.New[secret.Bytes](credential.Options{Now: p.now}),
	}, nil
}

// close waits for the logins under way.
func (l *logins) close() {
	l.tokens.Close()
	l.release()
}
