package gcp

import (
	"context"
	"sync"
	"time"

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
	conns map[place]*gcp.Conn
}

func (t *Type) newStore(config *settings, link *gcp.Link, release func()) *gcpStore {
	return &gcpStore{
		config: config, link: link, release: release, conns: map[place]*gcp.Conn{},
		login: gcp.NewLogin(gcp.LoginOptions{Options: t.opts, Auth: config.Auth, Link: link, Timeout: config.Timeout, Retries: config.Retries}),
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
	conn, err := s.conn(s.config.at(q.service, q.location))
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

// conn returns the connection to a place, which the store keeps.
func (s *gcpStore) conn(to place) (*gcp.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if conn := s.conns[to]; conn != nil {
		return conn, nil
	}
	if len(s.conns) >= maxLocations {
		return nil, fault.Failf(fault.ErrInvalid, "one store reads from at most %d locations; use another for the rest", maxLocations)
	}
	conn, err := s.link.Connect(to.endpoint, to.network, to.maxAnswer)
	if err != nil {
		return nil, err
	}
	s.conns[to] = conn
	return conn, nil
}

// RefreshOf implements store.Steady for versions of secrets by their number, and for
// raw parameters.
func (s *gcpStore) RefreshOf(ref store.Reference) time.Duration {
	if q, err := s.config.parseReference(ref); err != nil || !q.pinned() {
		return 0
	}
	return store.PinnedRefresh
}

// Close implements store.Store.
func (s *gcpStore) Close() {
	for _, conn := range s.conns {
		conn.Close()
	}
	s.release()
}
