package gcp

import (
	"context"
	"sync"

	"github.com/lanyardhq/lanyard/provider/backend/gcp"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
)

// maxLocations bounds the endpoints that one store connects to. Google has
// some forty locations.
const maxLocations = 64

// gcpStore is one connection.
type gcpStore struct {
	config  *settings
	link    *gcp.Link
	release func() // of the link
	login   *gcp.Login

	mu    sync.Mutex
	conns map[string]*gcp.Conn // by endpoint
}

func (t *Type) newStore(config *settings, link *gcp.Link, release func()) *gcpStore {
	return &gcpStore{
		config: config, link: link, release: release, conns: map[string]*gcp.Conn{},
		login: gcp.NewLogin(gcp.Options{
			Auth: config.Auth, Link: link, Tokens: t.tokens, Cluster: t.cluster, ClusterAllowed: t.clusterAllowed, Timeout: config.Timeout, Retries: config.Retries,
		}),
	}
}

// Check implements store.Store.
func (s *gcpStore) Check(ref store.Reference) error {
	_, err := s.config.parseReference(ref)
	return err
}

// Read implements store.Store.
func (s *gcpStore) Read(ctx context.Context, as identity.Identity, ref store.Reference) (store.Value, error) {
	q, err := s.config.parseReference(ref)
	if err != nil {
		return store.Value{}, err
	}
	conn, err := s.conn(s.config.at(q.location))
	if err != nil {
		return store.Value{}, err
	}
	var value store.Value
	err = s.login.With(ctx, as, func(token secret.Bytes, who string) (refused bool, err error) {
		value, refused, err = s.access(ctx, conn, q, token, who)
		return refused, err
	})
	if err != nil {
		return store.Value{}, err
	}
	return value, nil
}

// conn returns the connection to an endpoint, which the store keeps.
func (s *gcpStore) conn(endpoint string) (*gcp.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if conn := s.conns[endpoint]; conn != nil {
		return conn, nil
	}
	if len(s.conns) >= maxLocations {
		return nil, fault.Failf(fault.ErrInvalid, "one store reads from at most %d locations; use another for the rest", maxLocations)
	}
	over := s.config.way.Global
	if endpoint != s.config.Endpoint {
		over = s.config.way.Regional
	}
	conn, err := s.link.Connect(endpoint, over)
	if err != nil {
		return nil, err
	}
	s.conns[endpoint] = conn
	return conn, nil
}

// Close implements store.Store.
func (s *gcpStore) Close() {
	for _, conn := range s.conns {
		conn.Close()
	}
	s.release()
}
