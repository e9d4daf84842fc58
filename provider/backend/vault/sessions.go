package vault

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/internal/span"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/share"
)

// The bounds of logins.
const (
	maxSessions = 4096             // identities that one store knows at once; see Shrink of package share
	idleSession = time.Hour        // after which an unused login is forgotten
	loginTime   = 30 * time.Second // for one login, its retries included
	revokeTime  = 2 * time.Second  // for giving back tokens on Close
	// reloginEvery is how often refused reads may cost an identity a new login,
	// which shows whether its token or its policies are the reason; see also
	// minRefused, for each of them.
	reloginEvery = time.Minute
)

// sessions are the logins of one store: at most one at a time for each
// identity, or one in all when the node's credentials log in.
type sessions struct {
	client *client
	auth   AuthSettings
	tokens identity.TokenSource
	person *Person // for methodPerson
	// revokesLeases is Options.RevokeLeases.
	revokesLeases bool
	calls         *remote.Calls // which are told of logins, at what is observed
	observed      string
	now           func() time.Time

	// lifetime ends, and work is waited for, on close. A login runs under it
	// and not under its first caller's context, because others share it.
	lifetime context.Context //nolint:containedctx // see above
	end      context.CancelFunc
	work     sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	slots   *share.LRUs[identity.Key, *slot]
	retired []retired
	tidying *time.Timer // the next tidy
}

// slot is the place of one identity's login.
type slot struct {
	used time.Time // guarded by sessions.mu

	mu        sync.Mutex
	current   *Session
	flight    *flight   // the login under way
	recovered time.Time // when a refused read last cost a login
	refused   map[string]refusal
}

// flight is a login that all who need it wait for.
type flight struct {
	done    chan struct{}
	session *Session
	isNew   bool
	err     error
}

func newSessions(config *Settings, client *client, tokens identity.TokenSource, now func() time.Time) *sessions {
	lifetime, end := context.WithCancel(context.Background())
	s := &sessions{
		client: client, auth: config.Auth, tokens: tokens, now: now,
		lifetime: lifetime, end: end,
	}
	s.slots = share.NewLRUs(func(key identity.Key) string { return key.Namespace }, func(_ identity.Key, forgotten *slot) {
		forgotten.mu.Lock()
		defer forgotten.mu.Unlock()
		s.retire(forgotten.current)
	})
	return s
}

// get returns a session that may be used once. isNew is true if the login was
// made for this call.
func (s *sessions) get(ctx context.Context, as identity.Identity) (session *Session, isNew bool, err error) {
	slot := s.slot(as)
	// A session with few uses may be used up between login and here.
	for range 3 {
		session, isNew, err = s.join(ctx, slot, as)
		if err != nil {
			return nil, false, err
		}
		if session.Take() {
			return session, isNew, nil
		}
		slot.drop(session)
	}
	return nil, false, fault.Failf(fault.ErrUnavailable, "the tokens of %s may be used too few times (token_num_uses) for the reads that need them at once; let them be used more often", s.who())
}

// join returns the current session, or that of the login under way, which it
// begins if there is none.
func (s *sessions) join(ctx context.Context, slot *slot, as identity.Identity) (*Session, bool, error) {
	slot.mu.Lock()
	if current := slot.current; current != nil && current.fresh(s.now()) {
		slot.mu.Unlock()
		return current, false, nil
	}
	under := slot.flight
	mine := under == nil
	if mine {
		under = &flight{done: make(chan struct{})}
		slot.flight = under
		s.work.Go(func() { s.fly(ctx, slot, under, as) }) //nolint:contextcheck // others share the login: it runs under the lifetime
	}
	slot.mu.Unlock()
	select {
	case <-under.done:
		if !mine && errors.Is(under.err, identity.ErrNoToken) {
			return s.join(ctx, slot, as) // the pod that began it had no token; this one may
		}
		return under.session, under.isNew, under.err
	case <-ctx.Done():
		return nil, false, fmt.Errorf("waiting for the login as %s: %w", s.who(), ctx.Err())
	}
}

// fly gets a session for a slot and tells those who wait. Its calls are those of the
// namespace that the session belongs to, and its span is below that of the caller who began it.
func (s *sessions) fly(caller context.Context, slot *slot, under *flight, as identity.Identity) {
	defer func() {
		if r := recover(); r != nil {
			klog.ErrorS(nil, "A login panicked", "panic", fmt.Sprintf("%T", r), "stack", string(debug.Stack()))
			under.session, under.err = nil, fault.Failf(fault.ErrUnavailable, "the login failed by a fault in the provider; its log says more")
		}
		slot.mu.Lock()
		slot.flight = nil
		before := slot.current
		if under.isNew { // the old one is in place, unless it was refused meanwhile
			slot.current = under.session
		}
		slot.mu.Unlock()
		if under.isNew {
			s.mu.Lock()
			s.retire(before)
			s.mu.Unlock()
		}
		close(under.done)
	}()
	ctx, cancel := context.WithTimeout(remote.ForLogin(s.lifetime, s.key(as).Namespace), loginTime)
	defer cancel()
	ctx, login := span.Start(span.Within(ctx, caller), "login")
	defer func() {
		if under.err != nil {
			login.Fail(fault.Of(under.err).Word)
		}
		login.End()
	}()

	slot.mu.Lock()
	current := slot.current
	slot.mu.Unlock()
	if current != nil && current.alive(s.now()) && s.renew(ctx, current) == nil && current.fresh(s.now()) {
		under.session = current
		return
	}
	under.session, under.err = s.login(ctx, as)
	under.isNew = under.session != nil
	if under.err != nil && ctx.Err() != nil && !errors.Is(under.err, remote.ErrNoSlot) {
		under.err = fault.Failf(fault.ErrUnavailable, "the login as %s took longer than %s", s.who(), loginTime)
	}
	if s.lifetime.Err() == nil {
		s.calls.LoggedIn(caller, remote.Login{Identity: s.key(as), StoreType: s.observed, Method: s.auth.Method, Err: under.err})
	}
	if errors.Is(under.err, fault.ErrUnavailable) && current != nil && current.alive(s.now()) {
		// What still works is used to its end.
		under.session, under.err = current, nil
	}
}

// replace returns another session than the one that was refused a call, and false
// if the refusal is to be believed.
func (s *sessions) replace(ctx context.Context, as identity.Identity, refused *Session, call string) (*Session, bool, error) {
	slot, now := s.slot(as), s.now()
	slot.mu.Lock()
	dropped := slot.current == refused
	if dropped {
		if slot.believes(call, now) || !slot.recovered.IsZero() && now.Sub(slot.recovered) < reloginEvery {
			slot.mu.Unlock()
			return nil, false, nil
		}
		slot.recovered = now
		slot.current = nil
	}
	slot.mu.Unlock()
	if dropped {
		s.mu.Lock()
		s.retire(refused)
		s.mu.Unlock()
	}
	session, _, err := s.get(ctx, as)
	return session, err == nil, err
}

// drop makes the next read log in anew.
func (s *slot) drop(used *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == used {
		s.current = nil
	}
}

// key is whose login it is: the identity's, or the process's own if the node logs in.
func (s *sessions) key(as identity.Identity) (key identity.Key) {
	if !s.auth.UsesNode() {
		key = as.Key()
	}
	return key
}

// slot returns the identity's slot.
func (s *sessions) slot(as identity.Identity) *slot {
	key := s.key(as)
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.slots.Get(key)
	if !ok {
		found = &slot{}
		s.slots.Add(key, found)
		s.slots.Shrink(maxSessions)
		s.arm()
	}
	found.used = s.now()
	return found
}

// close ends the logins under way, and revokes the tokens on which no lease
// hangs: with a token Vault revokes its leases, whose values pods still use, unless that
// is what is asked for.
func (s *sessions) close() {
	s.mu.Lock()
	s.closed = true
	if s.tidying != nil {
		s.tidying.Stop()
	}
	s.mu.Unlock()
	s.end()
	s.work.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), revokeTime)
	defer cancel()
	needless := make([]*Session, 0, s.slots.Len()+len(s.retired))
	for _, slot := range s.slots.Values() {
		needless = append(needless, slot.current)
	}
	for _, r := range s.retired {
		needless = append(needless, r.session)
	}
	s.revoke(ctx, slices.DeleteFunc(needless, func(session *Session) bool {
		return session == nil || !session.alive(s.now()) || !session.disposable(s.now()) && (!s.revokesLeases || !session.owned)
	}))
}
