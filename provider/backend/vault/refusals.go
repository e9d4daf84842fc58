package vault

import (
	"crypto/sha256"
	"time"
)

// How long a refusal (403) is believed before a new login makes sure again. It
// doubles for as long as the refusal stays, since what is denied today is mostly
// denied tomorrow, and each login is one more token at Vault.
const (
	minRefused = 2 * time.Minute
	maxRefused = 10 * time.Minute // see changedRole
	// maxRefusals is how many refused calls are remembered for one login.
	maxRefusals = 256
)

// changedRole is said of every refusal that a login may end.
const changedRole = "; a role that was changed meanwhile is tried again within 10 minutes"

// refusal is a call that a new token was refused too.
type refusal struct {
	until time.Time // when it is believed without another login
	pause time.Duration
}

// name tells calls apart, so that one that is denied for good does
// not hide that the token was revoked, of which the others tell. A policy may
// look at parameters and bodies. A body with secrets counts for none: what a key
// encrypts differs each time, and no digest of it is kept.
// https://developer.hashicorp.com/vault/docs/concepts/policies#parameter-constraints
func (r *Request) name() string {
	name := r.Method + " " + r.Path + "?" + r.Params.Encode()
	if len(r.Body) > 0 && len(r.Secrets) == 0 {
		digest := sha256.Sum256(r.Body)
		name += " " + string(digest[:])
	}
	return name
}

// believes says whether the refusal of a call is not worth another login. The
// slot is locked.
func (s *slot) believes(call string, now time.Time) bool {
	known, ok := s.refused[call]
	return ok && now.Before(known.until)
}

// judged notes whether a token that was made for the call, or because of it, was
// refused it. A refusal that is believed already says nothing new: all who waited
// for one login are refused alike.
func (s *slot) judged(call string, refused bool, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !refused {
		delete(s.refused, call)
		return
	}
	known := s.refused[call]
	if now.Before(known.until) {
		return
	}
	if len(s.refused) >= maxRefusals {
		clear(s.refused)
	}
	if s.refused == nil {
		s.refused = map[string]refusal{}
	}
	pause := min(max(2*known.pause, minRefused), maxRefused)
	s.refused[call] = refusal{until: now.Add(pause), pause: pause}
}
