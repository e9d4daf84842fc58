package stores

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
)

func TestManyReadsShareOneLogin(t *testing.T) {
	f := newFixture(t, shared)
	s := open(t, f.settings())
	ref := f.put(t, "db", map[string]any{"a": "b"})
	f.proxy.SetDelay(20 * time.Millisecond)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if _, err := s.Read(t.Context(), f.pod, ref); err != nil {
				t.Errorf("Read: %v", err)
			}
		})
	}
	wg.Wait()
	if f.logins() != 1 {
		t.Errorf("%d logins for 100 reads at once, want 1", f.logins())
	}
	if most := f.proxy.MaxInFlight(); most > 64 {
		t.Errorf("%d calls in flight, want at most 64", most)
	}
}

func TestOneCallersEndDoesNotEndTheSharedLogin(t *testing.T) {
	f := newFixture(t, shared)
	s := open(t, f.settings())
	ref := f.put(t, "db", map[string]any{"a": "b"})
	f.proxy.Add(faultproxy.Fault{Prefix: "auth/", Delay: 300 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := s.Read(ctx, f.pod, ref); !errors.Is(err, context.Canceled) {
			t.Errorf("the caller that left got %v", err)
		}
	})
	for f.proxy.MaxInFlight() == 0 {
		time.Sleep(time.Millisecond)
	}
	wg.Go(func() {
		if _, err := s.Read(t.Context(), f.pod, ref); err != nil {
			t.Errorf("the caller that stayed got %v", err)
		}
	})
	cancel()
	wg.Wait()
	if f.logins() != 1 {
		t.Errorf("%d logins, want 1", f.logins())
	}
}

func TestIdentitiesNeverShareALogin(t *testing.T) {
	f := newFixture(t, shared)
	s := open(t, f.settings())
	ref := f.put(t, "db", map[string]any{"a": "b"})
	mustRead(t, s, f.pod, ref)
	elsewhere := f.podOf(t, "prod", "web")
	elsewhere.Cluster = "other"
	mustRead(t, s, elsewhere, ref)
	if f.logins() != 2 {
		t.Errorf("%d logins for two identities, want 2", f.logins())
	}
}

func TestRevokedTokenCostsOneNewLogin(t *testing.T) {
	f := newFixture(t, shared)
	s := open(t, f.settings())
	ref := f.put(t, "db", map[string]any{"a": "b"})
	mustRead(t, s, f.pod, ref)
	f.Must(t, "POST", "sys/leases/revoke-prefix/auth/"+f.jwt(), nil)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := s.Read(t.Context(), f.pod, ref); err != nil {
				t.Errorf("Read after the token was revoked: %v", err)
			}
		})
	}
	wg.Wait()
	if f.logins() != 2 {
		t.Errorf("%d logins, want the first and one more", f.logins())
	}
}

func TestDeniedPathDoesNotCostALoginForEachRead(t *testing.T) {
	f := newFixture(t, shared)
	s := open(t, f.settings())
	mustRead(t, s, f.pod, f.put(t, "db", map[string]any{"a": "b"}))
	for range 10 {
		if _, err := s.Read(t.Context(), f.pod, store.Reference{Key: f.kv1() + "/deny/x"}); !errors.Is(err, fault.ErrDenied) {
			t.Fatalf("Read of a denied path: %v", err)
		}
	}
	if f.logins() != 2 {
		t.Errorf("%d logins for ten denied reads, want the first and one that makes sure", f.logins())
	}
}

func TestTokensAreRenewedOrReplacedBeforeTheyEnd(t *testing.T) {
	for name, test := range map[string]struct {
		role            map[string]any
		renews, relogin bool
	}{
		"renewable":           {map[string]any{"token_ttl": "3s", "token_max_ttl": "1h"}, true, false},
		"at its maximum":      {map[string]any{"token_ttl": "3s", "token_max_ttl": "4s"}, true, true},
		"batch":               {map[string]any{"token_ttl": "3s", "token_type": "batch"}, false, true},
		"periodic":            {map[string]any{"token_period": "3s"}, true, false},
		"of a number of uses": {map[string]any{"token_num_uses": 4}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, shared)
			f.role(t, test.role)
			s := open(t, f.settings())
			ref := f.put(t, "db", map[string]any{"a": "b"})
			for begin := time.Now(); time.Since(begin) < 7*time.Second; time.Sleep(250 * time.Millisecond) {
				mustRead(t, s, f.pod, ref)
			}
			if got := f.logins() > 1; got != test.relogin {
				t.Errorf("%d logins; more than one: %v, want %v", f.logins(), got, test.relogin)
			}
			if got := f.proxy.Count("", "auth/token/renew-self") > 0; got != test.renews {
				t.Errorf("renewed: %v, want %v", got, test.renews)
			}
			for _, request := range f.proxy.Requests() {
				if strings.HasPrefix(request.Path, f.kv2()) && request.Status >= 400 {
					t.Errorf("%s %s was answered %d: a token was used too long", request.Method, request.Path, request.Status)
				}
			}
		})
	}
}

func TestCloseRevokesTokens(t *testing.T) {
	f := newFixture(t, shared)
	s := open(t, f.settings())
	mustRead(t, s, f.pod, f.put(t, "db", map[string]any{"a": "b"}))
	s.Close()
	if got := f.proxy.Count(http.MethodPost, "auth/token/revoke-self"); got != 1 {
		t.Errorf("Close revoked %d tokens, want 1", got)
	}
}

func TestMissingTokenSaysWhichTheDriverMustPass(t *testing.T) {
	f := newFixture(t, shared)
	s := open(t, f.settings())
	pod := f.pod
	pod.Tokens = nil
	_, err := s.Read(t.Context(), pod, store.Reference{Key: f.kv1() + "/x"})
	if !errors.Is(err, identity.ErrNoToken) || !errors.Is(err, fault.ErrUnauthenticated) {
		t.Errorf("error %v, want both ErrNoToken and ErrUnauthenticated", err)
	}
	if f.logins() != 0 {
		t.Error("it tried to log in")
	}
}

func TestNamespaceIsSentWithEveryCall(t *testing.T) {
	f := newFixture(t, shared)
	settings := f.settings()
	settings["namespace"] = "org/team-a"
	s := open(t, settings)
	// This edition of Vault has no namespaces and ignores the header.
	mustRead(t, s, f.pod, f.put(t, "db", map[string]any{"a": "b"}))
	for _, request := range f.proxy.Requests() {
		if got := request.Header.Get("X-Vault-Namespace"); got != "org/team-a" {
			t.Errorf("%s was sent with namespace %q", request.Path, got)
		}
	}
}
