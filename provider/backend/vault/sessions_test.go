package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

type panickingTokens struct{}

func (panickingTokens) Token(context.Context, identity.Identity, string) (identity.Token, error) {
	panic("token hunter2")
}

// connect connects with the kubernetes method and what change makes of it.
func connect(t *testing.T, pool *Pool, change func(*Settings)) *Connection {
	t.Helper()
	settings := DefaultSettings()
	settings.Address, settings.Auth.Method, settings.Auth.Role = "https://vault.example.com:8200", "kubernetes", "web"
	change(&settings)
	var problems remote.Problems
	settings.Check(true, &problems)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	connection, err := pool.Connect(&settings)
	if err != nil {
		t.Fatal(err)
	}
	return connection
}

func connected(t *testing.T, opts Options) *Connection {
	t.Helper()
	connection := connect(t, NewPool(opts), func(*Settings) {})
	t.Cleanup(connection.Close)
	return connection
}

var get = Request{What: "GET a/b", Method: "GET", Path: "a/b", Repeatable: true}

func TestPanicInALoginFailsItsCallersAlone(t *testing.T) {
	s := connected(t, Options{Tokens: panickingTokens{}})
	for range 2 {
		_, _, err := s.Call(t.Context(), identity.Identity{}, get)
		if !errors.Is(err, fault.ErrUnavailable) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error %v", err)
		}
	}
}

type failingTokens struct{ err error }

func (f failingTokens) Token(context.Context, identity.Identity, string) (identity.Token, error) {
	return identity.Token{}, f.err
}

func TestFailureToGetATokenKeepsItsKind(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		kind error
	}{
		"none":       {fmt.Errorf("%w for audience x", identity.ErrNoToken), fault.ErrUnauthenticated},
		"not so far": {errors.New("the API server is away"), fault.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			s := connected(t, Options{Tokens: failingTokens{test.err}})
			_, _, err := s.Call(t.Context(), identity.Identity{}, get)
			if !errors.Is(err, test.kind) || errors.Is(err, identity.ErrNoToken) != errors.Is(test.err, identity.ErrNoToken) {
				t.Errorf("error %v, want %v", err, test.kind)
			}
		})
	}
}

func TestLoginsAreBoundedAndForgottenWhenIdle(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s := connected(t, Options{Now: func() time.Time { return now }})
	use := func(name string) *slot { return s.sessions.slot(identity.Identity{ServiceAccount: name}) }
	first := use("first")
	for i := range maxSessions + 100 {
		now = now.Add(time.Millisecond)
		if i%100 == 0 && use("first") != first {
			t.Fatal("an identity in use was forgotten")
		}
		use(fmt.Sprint(i))
	}
	if got := s.sessions.slots.Len(); got > maxSessions {
		t.Errorf("%d logins are kept, want at most %d", got, maxSessions)
	}
	now = now.Add(idleSession)
	s.sessions.tidy() // which its timer calls, though nobody logs in any more
	if got := s.sessions.slots.Len(); got != 0 {
		t.Errorf("%d logins are kept after an hour without use", got)
	}
}

// denying is a Vault that denies some paths, and counts.
type denying struct {
	*httptest.Server
	mu     sync.Mutex
	deny   map[string]bool // paths, with their queries and bodies
	logins int
	alive  map[string]bool // tokens
}

func deny(t *testing.T, paths ...string) *denying {
	t.Helper()
	d := &denying{deny: map[string]bool{}, alive: map[string]bool{}}
	for _, path := range paths {
		d.deny[path] = true
	}
	d.Server = httptest.NewServer(d)
	t.Cleanup(d.Close)
	return d
}

func (d *denying) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	path, token := strings.TrimPrefix(r.URL.RequestURI(), "/v1/"), r.Header.Get("X-Vault-Token")
	if body, _ := io.ReadAll(r.Body); !strings.HasSuffix(path, "/login") {
		path += string(body)
	}
	switch {
	case strings.HasSuffix(path, "/login"):
		d.logins++
		made := fmt.Sprint("token-", d.logins)
		d.alive[made] = true
		_, _ = fmt.Fprintf(w, `{"request_id":"1","auth":{"client_token":%q,"lease_duration":2592000}}`, made)
	case !d.alive[token] || d.deny[path]:
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"errors":["permission denied"]}`))
	case path == "auth/token/revoke-self":
		delete(d.alive, token)
		w.WriteHeader(http.StatusNoContent)
	default:
		_, _ = w.Write([]byte(`{"request_id":"1","data":{"a":"b"}}`))
	}
}

func (d *denying) counts() (logins, alive int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.logins, len(d.alive)
}

// asking reads a path and returns the status.
func asking(t *testing.T, c *Connection, path string) int {
	t.Helper()
	return sending(t, c, Request{What: "GET " + path, Method: "GET", Path: path, Repeatable: true}).Status
}

func sending(t *testing.T, c *Connection, r Request) *Response {
	t.Helper()
	pod := identity.Identity{Tokens: map[string]identity.Token{"vault": {JWT: secret.NewString("jwt")}}}
	resp, _, err := c.Call(t.Context(), pod, r)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestAllWhoWaitedForOneLoginMakeItsRefusalBelievedOnce(t *testing.T) {
	var s slot
	now := time.Unix(1_700_000_000, 0)
	for _, pause := range []time.Duration{2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 10 * time.Minute, 10 * time.Minute} {
		for range 50 {
			s.judged("GET a/b?", true, now)
		}
		if !s.believes("GET a/b?", now.Add(pause-1)) || s.believes("GET a/b?", now.Add(pause)) {
			t.Errorf("believed until %v, want for %s", s.refused["GET a/b?"].until.Sub(now), pause)
		}
		now = now.Add(pause)
	}
}

func TestARefusalIsOfItsQueryAndBodyAlone(t *testing.T) {
	for name, test := range map[string]struct {
		denied         string
		refused, other Request
	}{
		"query": {
			"a/b?ttl=9h",
			Request{Method: "GET", Path: "a/b", Params: url.Values{"ttl": {"9h"}}},
			Request{Method: "GET", Path: "a/b", Params: url.Values{"ttl": {"1h"}}},
		},
		"body": {
			`a/b{"ttl":"9h"}`,
			Request{Method: "POST", Path: "a/b", Body: []byte(`{"ttl":"9h"}`)},
			Request{Method: "POST", Path: "a/b", Body: []byte(`{"ttl":"1h"}`)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			vault := deny(t, test.denied)
			now := time.Unix(1_700_000_000, 0)
			c := connect(t, NewPool(Options{Now: func() time.Time { return now }}), func(s *Settings) { s.Address = vault.URL })
			defer c.Close()
			resp := sending(t, c, test.refused)
			if resp.Status != http.StatusForbidden || resp.SaidOfDenial() != changedRole {
				t.Fatalf("status %d%s", resp.Status, resp.SaidOfDenial())
			}
			vault.mu.Lock()
			clear(vault.alive)
			vault.mu.Unlock()
			now = now.Add(90 * time.Second)
			if got := sending(t, c, test.other).Status; got != http.StatusOK {
				t.Errorf("status %d after the token was revoked", got)
			}
		})
	}
	key := Request{Method: "POST", Path: "transit/decrypt/web", Body: []byte("1"), Secrets: []secret.Bytes{secret.NewString("1")}}
	before := key.name()
	if key.Body = []byte("2"); key.name() != before {
		t.Error("each ciphertext is a call of its own")
	}
}

func TestADeniedReadCostsFewerAndFewerLoginsAndLeavesNoTokens(t *testing.T) {
	vault := deny(t, "a/denied")
	now := time.Unix(1_700_000_000, 0)
	c := connect(t, NewPool(Options{Now: func() time.Time { return now }}), func(s *Settings) { s.Address = vault.URL })
	for begin := now; now.Sub(begin) < 12*time.Hour; now = now.Add(77 * time.Second) {
		if got := asking(t, c, "a/denied"); got != http.StatusForbidden {
			t.Fatalf("status %d of a denied read", got)
		}
		if got := asking(t, c, "a/b"); got != http.StatusOK {
			t.Fatalf("status %d of a read beside it", got)
		}
		c.sessions.tidy()
	}
	// Of 560 polls: one after 2, 6, 14 minutes, and then each ten.
	if logins, _ := vault.counts(); logins < 60 || logins > 80 {
		t.Errorf("%d logins in twelve hours, want about seventy", logins)
	}
	now = now.Add(settled)
	c.sessions.tidy()
	c.sessions.work.Wait()
	if _, alive := vault.counts(); alive != 1 {
		t.Errorf("%d tokens are alive, want the one in use", alive)
	}
	c.Close()
	if _, alive := vault.counts(); alive != 0 {
		t.Errorf("%d tokens are alive after Close", alive)
	}
}

// What is denied for good does not hide that the token is gone.
func TestARevokedTokenIsReplacedThoughAReadIsDenied(t *testing.T) {
	vault := deny(t, "a/denied")
	now := time.Unix(1_700_000_000, 0)
	c := connect(t, NewPool(Options{Now: func() time.Time { return now }}), func(s *Settings) { s.Address = vault.URL })
	defer c.Close()
	for range 7 {
		now = now.Add(70 * time.Minute)
		asking(t, c, "a/denied")
	}
	now = now.Add(2 * time.Minute)
	vault.mu.Lock()
	clear(vault.alive)
	vault.mu.Unlock()
	before, _ := vault.counts()
	asking(t, c, "a/denied")
	if after, _ := vault.counts(); after != before {
		t.Error("a refusal that is believed cost a login")
	}
	if got := asking(t, c, "a/b"); got != http.StatusOK {
		t.Errorf("status %d after the token was revoked", got)
	}
	vault.mu.Lock()
	delete(vault.deny, "a/denied")
	vault.mu.Unlock()
	if got := asking(t, c, "a/denied"); got != http.StatusOK {
		t.Errorf("status %d after the policy was changed", got)
	}
}

func TestATokenIsNotRevokedWhileALeaseHangsOnIt(t *testing.T) {
	vault := deny(t)
	now := time.Unix(1_700_000_000, 0)
	c := connect(t, NewPool(Options{Now: func() time.Time { return now }}), func(s *Settings) { s.Address = vault.URL })
	defer c.Close()
	asking(t, c, "a/b")
	for _, slot := range c.sessions.slots.Values() {
		slot.current.Holds(now.Add(3 * time.Hour))
	}
	for want := 1; want >= 0; want-- {
		now = now.Add(2 * time.Hour)
		for range 2 { // the first forgets it
			c.sessions.tidy()
			c.sessions.work.Wait()
			now = now.Add(settled)
		}
		if _, alive := vault.counts(); alive != want {
			t.Errorf("%d tokens are alive, want %d", alive, want)
		}
	}
}

func TestSessionsAreReplacedInTime(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	granted := newSession(secret.NewString("t"), &Auth{LeaseDuration: Seconds(time.Hour), Renewable: true}, start, true)
	for age, want := range map[time.Duration]struct{ fresh, alive bool }{
		0:                {true, true},
		39 * time.Minute: {true, true},
		41 * time.Minute: {false, true},
		61 * time.Minute: {false, false},
	} {
		now := start.Add(age)
		if granted.fresh(now) != want.fresh || granted.alive(now) != want.alive {
			t.Errorf("after %v: fresh %v, alive %v; want %+v", age, granted.fresh(now), granted.alive(now), want)
		}
	}
	forever := newSession(secret.NewString("t"), &Auth{}, start, false)
	if !forever.fresh(start.Add(1e6*time.Hour)) || forever.disposable(start) {
		t.Error("a token of someone else's that never ends is not kept")
	}
	granted.Holds(start.Add(time.Minute))
	if granted.disposable(start) || !granted.disposable(start.Add(2*time.Minute)) {
		t.Error("a token may be revoked exactly when no lease hangs on it")
	}
}

func TestLastUseOfATokenIsNeverMade(t *testing.T) {
	for uses, want := range map[int]int{1: 1, 2: 1, 5: 4} {
		session, took := newSession(secret.NewString("t"), &Auth{NumUses: uses}, time.Now(), true), 0
		for session.Take() {
			took++
		}
		if took != want {
			t.Errorf("of %d uses %d were made, want %d", uses, took, want)
		}
	}
}

// Each login is told of once, however many wait for it, and none that was not made.
func TestEachLoginIsToldOf(t *testing.T) {
	vault := deny(t)
	var mu sync.Mutex
	var told []remote.Login
	calls := remote.NewCalls(4)
	calls.Logins = func(ctx context.Context, login remote.Login) {
		mu.Lock()
		defer mu.Unlock()
		if remote.StoreOf(ctx) != "main" {
			t.Errorf("the login is for the store %q", remote.StoreOf(ctx))
		}
		told = append(told, login)
	}
	c := connect(t, NewPool(Options{Calls: calls, Observed: "vault"}), func(s *Settings) { s.Address = vault.URL })
	as := identity.Identity{Namespace: "shop", ServiceAccount: "web", Tokens: map[string]identity.Token{"vault": {JWT: secret.NewString("x"), Expires: time.Now().Add(time.Hour)}}}
	ctx := remote.WithStore(t.Context(), "main")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, _, err := c.Call(ctx, as, get); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	as.ServiceAccount, as.Tokens = "other", nil
	if _, _, err := c.Call(ctx, as, get); err == nil {
		t.Error("a pod without a token is let in")
	}
	c.Close()
	if len(told) != 2 || told[0].Err != nil || told[0].StoreType != "vault" || told[0].Method != "kubernetes" || told[0].Identity.ServiceAccount != "web" ||
		!errors.Is(told[1].Err, fault.ErrUnauthenticated) || told[1].Identity.ServiceAccount != "other" {
		t.Errorf("told %+v", told)
	}
}
