package vaultclient

import (
	"time"
)

// How long a refusal (403) is believed before a new login makes sure again. It
// doubles for as long as the refusal stays, since what is denied today is mostly
// denied tomorrow, and each login is one more token at Vault.
const (
	refusedLeast = 2 * time.Minute
	refusedMost  = time.Hour
	// maxRefusals is how many refused calls are remembered for one login.
	maxRefusals = 256
)

// refusal is a call that a new token was refused too.
type refusal struct {
	until time.Time // when it is believed without another login
	pause time.Duration
}

// name is what calls are told apart by, so that one that is denied for good does
// not hide that the token was revoked, of which the others tell.
func (r *Request) name() string { return r.Method + " " + r.Path }

// believes says whether the refusal of a call is not worth another login. The
// slot is locked.
func (s *slot) believes(call string, now time.Time) bool {
	known, ok := s.refused[call]
	return ok && now.Before(known.until)
}

// judged notes whether a token that was made for the call, or because of it, was
// refused it.
func (s *slot) judged(call string, refused bool, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !refused {
		delete(s.refused, call)
		return
	}
	if len(s.refused) >= maxRefusals {
		clear(s.refused)
	}
	if s.refused == nil {
		s.refused = map[string]refusal{}
	}
	pause := min(max(2*s.refused[call].pause, refusedLeast), refusedMost)
	s.refused[call] = refusal{until: now.Add(pause), pause: pause}
}
