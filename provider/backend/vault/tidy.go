package vault

import (
	"context"
	"slices"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
)

const (
	// tidyEvery is how often logins are looked through.
	tidyEvery = 5 * time.Minute
	// settled is how long after it was replaced a token may be in use by a call
	// that began before.
	settled = 5 * time.Minute
	// maxRetired is how many replaced tokens wait to be revoked.
	maxRetired = 1024
)

// retired is a token that is not used for new calls any more.
type retired struct {
	session *Session
	at      time.Time
}

// retire lets a session be revoked when nothing depends on it any more. sessions.mu
// is held.
func (s *sessions) retire(session *Session) {
	if session == nil || !session.owned {
		return
	}
	if len(s.retired) >= maxRetired {
		s.retired = slices.Delete(s.retired, 0, 1) // left to run out
	}
	s.retired = append(s.retired, retired{session, s.now()})
}

// arm lets tidy run after a while. sessions.mu is held.
func (s *sessions) arm() {
	if s.tidying == nil && !s.closed {
		s.tidying = time.AfterFunc(tidyEvery, s.tidy)
	}
}

// tidy forgets the logins that were not used for an hour, and revokes tokens that
// nothing needs any more.
func (s *sessions) tidy() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tidying = nil
	if s.closed {
		return
	}
	now := s.now()
	s.forgetIdle(now)
	var needless []*Session
	s.retired = slices.DeleteFunc(s.retired, func(r retired) bool {
		switch {
		case !r.session.alive(now):
			return true
		case now.Sub(r.at) < settled || !r.session.disposable(now):
			return false
		}
		needless = append(needless, r.session)
		return true
	})
	if len(needless) > 0 {
		s.work.Go(func() {
			ctx, cancel := context.WithTimeout(s.lifetime, loginTime)
			defer cancel()
			s.revoke(ctx, needless)
		})
	}
	if s.slots.Len()+len(s.retired) > 0 {
		s.arm()
	}
}

// forgetIdle forgets the logins that were not used for long. sessions.mu is held.
func (s *sessions) forgetIdle(now time.Time) {
	for _, key := range s.slots.Keys() {
		if slot, ok := s.slots.Peek(key); ok && now.Sub(slot.used) >= idleSession {
			s.slots.Remove(key)
		}
	}
}

// revoke gives tokens back. It is the best that can be done: a token that stays
// runs out by itself.
func (s *sessions) revoke(ctx context.Context, needless []*Session) {
	for _, session := range needless {
		_, outcome := s.client.try(remote.WithTimeout(ctx, s.client.backoff.Timeout), Request{Method: "POST", Path: "auth/token/revoke-self", token: session.token})
		if outcome.err != nil {
			return
		}
	}
}
