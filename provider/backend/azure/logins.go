package azure

import (
	"net/url"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/lanyardhq/lanyard/provider/backend/credential"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// logins are what all vaults with the same authorities and the same way to Entra ID
// share for their logins: the connections to it and to the machine's metadata
// service, and the tokens that were got over them. A token that another set of
// authorities vouched for is never shared.
type logins struct {
	over      *remote.Transport // to Entra ID, or a token proxy
	metadata  transporter
	tokens    *credential.Cache[secret.Bytes]
	facts     *credential.Facts
	discovery *discovery
	release   func() // of the transports
}

// way is how logins are made: by a route, and through a token proxy if there is a URL of
// one.
type way struct {
	remote.Route
	tokenProxy string
}

// way is how the settings' logins are made.
func (s *Settings) way() way {
	if s.Auth.IdentityBinding {
		return way{s.TokenProxy.route(), s.TokenProxy.URL}
	}
	return way{Route: remote.Route{TLS: s.TLS, Network: s.LoginNetwork}}
}

// openLogins opens the logins of a way.
func (p *Pool) openLogins(by way) (*logins, error) {
	made, releaseMade, err := p.transports.Acquire(by.Route)
	if err != nil {
		return nil, err
	}
	// Only the operator says where the metadata service is.
	local, releaseLocal, err := p.transports.Acquire(remote.Route{TLS: by.TLS})
	if err != nil {
		releaseMade()
		return nil, err
	}
	release := func() { releaseMade(); releaseLocal() }
	var transport policy.Transporter = transporter{made.Client(p.observed)}
	if by.tokenProxy != "" {
		to, err := url.Parse(by.tokenProxy + "/")
		if err != nil {
			release()
			return nil, fault.Failf(fault.ErrInvalid, "tokenProxy.url: is not a URL")
		}
		transport = proxied{transporter{made.Client(p.observed)}, to}
	}
	return &logins{
		over: made, metadata: transporter{local.Client(p.observed)}, release: release, discovery: &discovery{transport: transport, now: p.now},
		tokens: credential.New[secret.Bytes](credential.Options{Calls: p.calls, StoreType: p.observed, Now: p.now}),
		facts:  credential.NewFacts(p.now),
	}, nil
}

// close waits for the logins under way.
func (l *logins) close() {
	l.tokens.Close()
	l.facts.Close()
	l.release()
}
