package vault

import (
	"context"
	"sync"
	"time"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// Session is one login's token. It is kept alive by renewal as long as Vault
// allows; the leases of what it read end with it.
type Session struct {
	token secret.Bytes
	// owned is true if this process logged in for the token, and may revoke
	// it; a token from a file is someone else's.
	owned   bool
	limited bool // to a number of uses

	// renewing is held by the one that renews the token.
	renewing chan struct{}

	mu        sync.Mutex
	renewable bool          // until its maximum is near
	life      time.Duration // as granted by the login
	end       time.Time     // zero if the token never ends
	uses      int           // left, if limited
	leasesEnd time.Time     // of all leases that hang on the token
}

// newSession is a token that was granted at the time start.
func newSession(token secret.Bytes, granted *Auth, start time.Time, owned bool) *Session {
	s := &Session{
		token: token, owned: owned,
		// A renewal would use up one of its uses; it is replaced instead.
		renewable: granted.Renewable && granted.NumUses == 0,
		limited:   granted.NumUses > 0,
		uses:      granted.NumUses,
		renewing:  make(chan struct{}, 1),
		life:      time.Duration(granted.LeaseDuration),
	}
	if s.life > 0 {
		s.end = start.Add(s.life)
	}
	if s.uses > 1 {
		// Vault revokes the token with its last use, and with it whatever
		// hangs on it; so that use is never made.
		s.uses--
	}
	return s
}

// Ends is when the token ends; zero if never.
func (s *Session) Ends() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end
}

func (s *Session) alive(now time.Time) bool {
	end := s.Ends()
	return end.IsZero() || now.Before(end)
}

// Limited is true if the token may be used a limited number of times.
func (s *Session) Limited() bool { return s.limited }

// fresh is true while more than a third of the token's life is left, so that a
// renewal or a new login has time to fail and be tried again.
func (s *Session) fresh(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end.IsZero() || s.end.Sub(now) > s.life/3
}

// Take uses the token once more, and is false if it may not be used again.
func (s *Session) Take() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.limited {
		return true
	}
	if s.uses == 0 {
		return false
	}
	s.uses--
	return true
}

// Holds notes that a lease depends on the token until end.
func (s *Session) Holds(end time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if end.After(s.leasesEnd) {
		s.leasesEnd = end
	}
}

// disposable is true if nothing is lost when the token is revoked.
func (s *Session) disposable(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owned && !now.Before(s.leasesEnd)
}

// renew renews the token unless less than a third of its life has gone by, or
// it cannot be renewed. One renews at a time.
// https://developer.hashicorp.com/vault/api-docs/auth/token#renew-a-token-self
func (s *sessions) renew(ctx context.Context, session *Session) error {
	select {
	case session.renewing <- struct{}{}:
		defer func() { <-session.renewing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	start := s.now()
	session.mu.Lock()
	due := session.renewable && !session.end.IsZero() && session.end.Sub(start) < session.life*2/3
	session.mu.Unlock()
	if !due {
		return nil
	}
	resp, err := s.client.call(ctx, Request{
		Method: "POST", Path: "auth/token/renew-self", token: session.token, Repeatable: true,
	})
	if err != nil {
		return err
	}
	if !resp.OK() || resp.Answer == nil || resp.Answer.Auth == nil {
		return fault.Failf(fault.ErrDenied, "the token of %s cannot be renewed (%d)%s", s.who(), resp.Status, resp.Said())
	}
	session.mu.Lock()
	defer session.mu.Unlock()
	granted := time.Duration(resp.Answer.Auth.LeaseDuration)
	session.end = start.Add(granted)
	// Less than before means that the token's maximum is reached. Vault fails
	// with 500 when it is asked beyond that.
	session.renewable = resp.Answer.Auth.Renewable && granted >= session.life
	return nil
}
