// Package gcp is what stores and key services in Google Cloud have in common:
// how a pod's identity becomes an access token, the connections, and how a call
// is bounded, retried and explained when it fails.
//
// A pod's service account token is exchanged for one of Google's, as Workload
// Identity Federation for GKE, for fleets and for other clusters has it, and a
// Google service account is impersonated where one is named. The node's own
// credentials are used only where the operator says so.
//
// It never reads GOOGLE_* or proxy variables of its environment, the gcloud
// configuration or well-known files; never lets one service account use
// another's access token; and never repeats a token in an error.
//
// Start with Login.With; Conn.Call makes every call.
package gcp

import (
	"net/url"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/credential"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

const (
	// MaxAnswerBytes bounds an answer. A payload of Secret Manager and a
	// message of Cloud KMS have at most 64 KiB.
	// https://cloud.google.com/secret-manager/quotas
	// https://cloud.google.com/kms/quotas
	MaxAnswerBytes = 256 << 10
)

// Options are what a type of store or key service is made of.
type Options struct {
	// Tokens gets the pods' service account tokens; nil takes those that the
	// driver passed.
	Tokens identity.TokenSource
	// Cluster tells the annotations of service accounts; nil means that none
	// are followed.
	Cluster credential.Cluster
	// ClusterAllowed reports whether the operator lets Cluster be asked now; nil
	// means yes.
	ClusterAllowed func() bool
	// Calls bounds the calls in flight; nil allows 64 at each address.
	Calls *remote.Calls
	// Person is who runs a command, for settings that say AsPerson; nil where
	// pods are served.
	Person *Person
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Links are the connections of one type of store or key service, one Link for
// each Way. They are safe for concurrent use.
type Links struct {
	*remote.Shared[Way, *Link]
}

// Way is whom to trust, and the networks of each service: of Secret Manager or Cloud
// KMS, global and regional; of the identity services; and of the node's metadata
// server.
type Way struct {
	TLS              remote.TLS
	Global, Regional remote.Network
	// Parameters and RegionalParameters are those of Parameter Manager.
	Parameters, RegionalParameters remote.Network
	STS, IAM, OAuth                remote.Network
	Node                           remote.Network
}

// NewLinks returns Links without connections, whose calls are counted under name, and
// sets the defaults of opts.
func NewLinks(name string, opts *Options) *Links {
	remote.Defaults(&opts.Tokens, &opts.Calls, &opts.Now)
	now, calls := opts.Now, opts.Calls
	transports := remote.NewTransports(remote.Options{Calls: opts.Calls, MaxAnswer: maxLoginBytes, Person: opts.Person != nil})
	return &Links{remote.NewShared(
		func(way Way) (*Link, error) {
			l := newLink(name, way, calls, now)
			for _, network := range []remote.Network{way.Global, way.Regional, way.Parameters, way.RegionalParameters, way.STS, way.IAM, way.OAuth, way.Node} {
				if l.transports[network] != nil {
					continue
				}
				transport, release, err := transports.Acquire(remote.Route{TLS: way.TLS, Network: network})
				if err != nil {
					l.close()
					return nil, err
				}
				l.transports[network] = transport
				l.giveBack = append(l.giveBack, release)
			}
			return l, nil
		},
		(*Link).close,
	)}
}

// Link is the connections of one Way: HTTP for Google's
// identity services, and gRPC for each endpoint that is dialled; and the access
// tokens that were got over them.
type Link struct {
	name       string
	way        Way
	now        func() time.Time
	transports map[remote.Network]*remote.Transport
	giveBack   []func() // of transports

	granted *credential.Cache[secret.Bytes] // access tokens
	facts   *credential.Facts

	conns *remote.Shared[dialled, *remote.Conn]
}

// dialled is what a gRPC connection leads to, and how.
type dialled struct {
	endpoint  string
	network   remote.Network
	maxAnswer int
}

// Conn is a gRPC connection to one endpoint, which its users share.
type Conn struct {
	*remote.Conn
	// Endpoint is the URL that was dialled.
	Endpoint string
	// Close gives the connection back.
	Close func()

	observed  string // what its calls are counted as
	over      remote.Network
	maxAnswer int
}

func newLink(name string, way Way, calls *remote.Calls, now func() time.Time) *Link {
	l := &Link{
		name: name, way: way, now: now, transports: map[remote.Network]*remote.Transport{},
		granted: credential.New[secret.Bytes](credential.Options{Calls: calls, StoreType: name, Now: now}),
		facts:   credential.NewFacts(now),
	}
	l.conns = remote.NewShared(l.dial, func(conn *remote.Conn) {
		_ = conn.Close() //nolint:errcheck // it only fails if it is closed already
	})
	return l
}

func (l *Link) close() {
	l.granted.Close()
	l.facts.Close()
	for _, release := range l.giveBack {
		release()
	}
}

// Connect returns the connection to a checked endpoint over a network of the Way, which
// the caller closes once. An answer may have maxAnswer bytes. Connect makes no call: gRPC
// connects when the first is made.
func (l *Link) Connect(endpoint string, over remote.Network, maxAnswer int) (*Conn, error) {
	conn, release, err := l.conns.Acquire(dialled{endpoint, over, maxAnswer})
	if err != nil {
		return nil, fault.Failf(fault.ErrInvalid, "%s is no address that can be dialled", message.Excerpt(endpoint))
	}
	return &Conn{Conn: conn, Endpoint: endpoint, Close: release, observed: l.name, over: over, maxAnswer: maxAnswer}, nil
}

func (l *Link) dial(to dialled) (*remote.Conn, error) {
	address, err := url.Parse(to.endpoint)
	if err != nil {
		return nil, err
	}
	return l.transports[to.network].DialGRPC(address, to.maxAnswer)
}
