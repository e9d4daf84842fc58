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
// Start with Login.With; a call is made by Call.
package gcp

import (
	"net/url"
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
	*remote.Shared[remote.TLS, *Link]
}

// NewLinks returns Links without connections. Their calls are bounded by calls,
// and counted there under name. now tells the time to their caches.
func NewLinks(name string, calls *remote.Calls, now func() time.Time) *Links {
	transports := remote.NewTransports(remote.Options{Calls: calls, MaxAnswer: maxLoginBytes})
	return &Links{remote.NewShared(
		func(trusted remote.TLS) (*Link, error) {
			transport, release, err := transports.Acquire(remote.Route{TLS: trusted})
			if err != nil {
				return nil, err
			}
			return newLink(name, transport, release, now), nil
		},
		(*Link).close,
	)}
}

// Link is the connections that trust one set of authorities: HTTP for Google's
// identity services, and gRPC for each endpoint that is dialled; and the access
// tokens that were got over them.
type Link struct {
	name      string
	now       func() time.Time
	transport *remote.Transport
	giveBack  func() // of transport

	granted *credential.Cache[secret.Bytes] // access tokens
	facts   *credential.Cache[string]       // what does not change from call to call

	conns *remote.Shared[string, *remote.Conn] // by endpoint
}

// Conn is a gRPC connection to one endpoint, which its users share.
type Conn struct {
	*remote.Conn
	// Endpoint is the URL that was dialled.
	Endpoint string
	// Close gives the connection back.
	Close func()

	observed string // what its calls are counted as
}

func newLink(name string, transport *remote.Transport, release func(), now func() time.Time) *Link {
	l := &Link{
		name: name, now: now, transport: transport, giveBack: release,
		granted: credential.New[secret.Bytes](credential.Options{Now: now}),
		facts:   credential.New[string](credential.Options{Now: now, Timeout: factTime}),
	}
	l.conns = remote.NewShared(l.dial, func(conn *remote.Conn) {
		_ = conn.Close() //nolint:errcheck // it only fails if it is closed already
	})
	return l
}

func (l *Link) close() {
	l.granted.Close()
	l.facts.Close()
	l.giveBack()
}

// Connect returns the connection to a checked endpoint, which the caller closes
// once. It makes no call: gRPC connects when the first is made.
func (l *Link) Connect(endpoint string) (*Conn, error) {
	conn, release, err := l.conns.Acquire(endpoint)
	if err != nil {
		return nil, fault.Failf(fault.ErrInvalid, "%s is no address that can be dialled", message.Excerpt(endpoint))
	}
	return &Conn{Conn: conn, Endpoint: endpoint, Close: release, observed: l.name}, nil
}

func (l *Link) dial(endpoint string) (*remote.Conn, error) {
	address, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	return l.transport.DialGRPC(address, MaxAnswerBytes)
}
