package vault

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
)

// vaultStore is one connection. It is a store.NodeReader.
type vaultStore struct {
	client   *client
	sessions *sessions
	now      func() time.Time
	release  func() // of the transport
}

func newStore(config *settings, client *client, release func(), tokens identity.TokenSource, now func() time.Time) *vaultStore {
	return &vaultStore{
		client: client, sessions: newSessions(config, client, tokens, now),
		now: now, release: release,
	}
}

// Check implements store.Store.
func (s *vaultStore) Check(ref store.Reference) error {
	_, err := parseReference(ref)
	return err
}

// ReadsAsNode implements store.NodeReader.
func (s *vaultStore) ReadsAsNode() bool { return s.sessions.auth.usesNode() }

// Read implements store.Store. A refusal is believed only from a token that is
// new, or when a new login has been tried lately: the old one may have been
// revoked, or may lack a policy that its role was given since.
func (s *vaultStore) Read(ctx context.Context, as identity.Identity, ref store.Reference) (store.Value, error) {
	q, err := parseReference(ref)
	if err != nil {
		return store.Value{}, err
	}
	used, isNew, err := s.sessions.get(ctx, as)
	if err != nil {
		return store.Value{}, err
	}
	start := s.now()
	resp, err := s.ask(ctx, q, used)
	if err == nil && resp.status == http.StatusForbidden && !isNew {
		other, replaced, failed := s.sessions.replace(ctx, as, used)
		if failed != nil {
			return store.Value{}, failed
		}
		if replaced {
			used, start = other, s.now()
			resp, err = s.ask(ctx, q, used)
		}
	}
	if err != nil {
		return store.Value{}, asRead(q, err)
	}
	if !resp.ok() {
		if err := gone(q, resp.answer); err != nil {
			return store.Value{}, err
		}
		return store.Value{}, refusal(q, s.sessions.who(), resp.status, resp.answer, used.token)
	}
	value, err := valueOf(q, resp)
	if err != nil {
		return store.Value{}, err
	}
	if value.Lease, err = s.leaseOf(q, resp.answer, used, as, start); err != nil {
		return store.Value{}, err
	}
	return value, nil
}

func (s *vaultStore) ask(ctx context.Context, q *query, used *session) (*response, error) {
	return s.client.call(ctx, request{
		method: q.method, path: q.key, params: q.params, body: q.body,
		token: used.token, secrets: []secret.Bytes{used.token},
		// A read that makes a credential may be repeated: the one that was
		// lost ends with its own lease. A write may not.
		repeatable: !q.writes(),
	})
}

// asRead says what was being read when a call failed.
func asRead(q *query, err error) error {
	var f *failure
	if !errors.As(err, &f) {
		return err
	}
	return &failure{kind: f.kind, text: q.verb() + " " + printable(q.key) + ": " + f.text, cause: f.cause}
}

// Close implements store.Store.
func (s *vaultStore) Close() {
	s.sessions.close()
	s.release()
}
