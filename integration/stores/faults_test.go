package stores

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
	"github.com/lanyardhq/lanyard/integration/vaultserver"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
)

func TestFaultsThatPassAreSurvivedAndOthersExplained(t *testing.T) {
	sealed := faultproxy.Fault{Status: 503, Body: `{"errors":["Vault is sealed"]}`}
	for name, test := range map[string]struct {
		fault faultproxy.Fault
		text  string // of the error when the fault stays
	}{
		"throttled":       {faultproxy.Fault{Status: 429, Header: http.Header{"Retry-After": {"0"}}, Body: `{"errors":["request path \"x\": rate limit quota exceeded"]}`}, "Vault is throttling (too many calls)"},
		"failing":         {faultproxy.Fault{Status: 500, Body: `{"errors":["internal error"]}`}, "failed with status 500"},
		"sealed":          {sealed, "Vault is sealed (503)"},
		"standby":         {faultproxy.Fault{Status: 473}, "standby"},
		"not caught up":   {faultproxy.Fault{Status: 412}, "has not caught up"},
		"refusing":        {faultproxy.Fault{Refuse: true}, "cannot be reached"},
		"hanging up":      {faultproxy.Fault{Hangup: true}, "cannot be reached"},
		"half the answer": {faultproxy.Fault{HalfBody: true}, "cannot be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, shared)
			ref := f.put(t, "db", map[string]any{"a": "b"})
			once := test.fault
			once.Times = 1
			f.proxy.Add(once) // to the login
			s := open(t, f.settings())
			mustRead(t, s, f.pod, ref)
			once.Prefix = f.kv2()
			f.proxy.Add(once) // to the read
			mustRead(t, s, f.pod, ref)

			f.proxy.Add(test.fault)
			value, err := s.Read(t.Context(), f.pod, ref)
			if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), test.text) || value.Data.Len() != 0 {
				t.Errorf("Read = %d bytes, %v; want unavailable with %q", value.Data.Len(), err, test.text)
			}
			f.proxy.Clear()
			mustRead(t, s, f.pod, ref)
		})
	}
}

// What stands between the node and Vault may answer in its place, at a login or a
// read.
func TestARefusalBeforeVaultIsAnOutage(t *testing.T) {
	f := newFixture(t, shared)
	ref := f.put(t, "db", map[string]any{"a": "b"})
	for _, broken := range []faultproxy.Fault{
		{Status: 404, Body: "<html>404 Not Found</html>"},
		{Status: 403, Body: `{"message":"blocked"}`},
		{Status: 401},
	} {
		for _, prefix := range []string{"auth/", f.kv2()} {
			s := open(t, f.settings())
			broken.Prefix = prefix
			f.proxy.Add(broken)
			if _, err := s.Read(t.Context(), f.pod, ref); !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "what stands between the node and Vault") {
				t.Errorf("%d at %s: %v", broken.Status, prefix, err)
			}
			f.proxy.Clear()
			mustRead(t, s, f.pod, ref)
		}
	}
}

// Vault's own state, and what its identity engine says of its keys, come without
// the envelope of its other answers.
func TestAnswersWithoutAnEnvelopeAreRead(t *testing.T) {
	f := newFixture(t, shared)
	s := open(t, f.settings())
	for key, holds := range map[string]string{
		"sys/health": `"initialized":true`, "sys/seal-status": `"sealed":false`, "sys/leader": `"ha_enabled"`,
		"identity/oidc/.well-known/keys": `"keys":`, "identity/oidc/.well-known/openid-configuration": `"jwks_uri":`,
	} {
		if value := mustRead(t, s, f.pod, store.Reference{Key: key}); !strings.Contains(string(value.Data.Reveal()), holds) {
			t.Errorf("%s is %s, without %s", key, value.Data.Reveal(), holds)
		}
	}
}

func TestEmptyAnswersAreErrors(t *testing.T) {
	f := newFixture(t, shared)
	ref := f.put(t, "db", map[string]any{"a": "b"})
	s := open(t, f.settings())
	f.proxy.Add(faultproxy.Fault{EmptyBody: true, Times: 1})
	if _, err := s.Read(t.Context(), f.pod, ref); !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "without a token") {
		t.Errorf("an empty login: %v", err)
	}
	f.proxy.Add(faultproxy.Fault{EmptyBody: true, Prefix: f.kv2(), Times: 1})
	if _, err := s.Read(t.Context(), f.pod, ref); !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "an empty body") {
		t.Errorf("an empty secret: %v", err)
	}
	mustRead(t, s, f.pod, ref)
}

func TestRefusedLoginIsTriedAgainByTheNextRead(t *testing.T) {
	f := newFixture(t, shared)
	ref := f.put(t, "db", map[string]any{"a": "b"})
	s := open(t, f.settings())
	f.proxy.Add(faultproxy.Fault{Status: 403, Body: `{"errors":["permission denied"]}`, Prefix: "auth/", Times: 1})
	if _, err := s.Read(t.Context(), f.pod, ref); !errors.Is(err, fault.ErrUnauthenticated) || !strings.Contains(err.Error(), "bound_claims") {
		t.Errorf("a refused login: %v", err)
	}
	mustRead(t, s, f.pod, ref)
}

func TestSlowVaultEndsWithTheCallersTime(t *testing.T) {
	f := newFixture(t, shared)
	ref := f.put(t, "db", map[string]any{"a": "b"})
	s := open(t, f.settings())
	mustRead(t, s, f.pod, ref)
	f.proxy.SetDelay(time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := s.Read(ctx, f.pod, ref); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Read = %v, want the context's error", err)
	}
}

func TestSealedVaultIsSaidAndRecovered(t *testing.T) {
	f := newFixture(t, vaultserver.New(t, vaultserver.Options{}))
	ref := f.put(t, "db", map[string]any{"a": "b"})
	s := open(t, f.settings())
	mustRead(t, s, f.pod, ref)
	if err := f.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(t.Context(), f.pod, ref); !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "Vault is sealed (503)") {
		t.Errorf("Read of a sealed Vault: %v", err)
	}
	if err := f.Unseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustRead(t, s, f.pod, ref)
}
