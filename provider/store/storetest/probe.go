package storetest

import (
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
)

// probes checks the contract of store.Prober and store.TokenTaker. A store that calls no
// server is none.
func probes(t *testing.T, start func(t *testing.T) (*Fixture, store.Store)) {
	t.Run("is looked at without reading a secret", func(t *testing.T) {
		f, s := start(t)
		prober, ok := s.(store.Prober)
		if !ok {
			return
		}
		servers, err := prober.Servers(t.Context())
		if err != nil || len(servers) == 0 {
			t.Fatalf("%d servers: %v", len(servers), err)
		}
		for _, server := range servers {
			trial := server.Try(t.Context(), time.Now)
			if !trial.Secured() || trial.HostPort == "" || len(trial.Addresses) == 0 {
				t.Errorf("%s at %s: %+v", server.Setting, server.URL, trial)
			}
			if trial.Secure && trial.CertificateEnds.IsZero() {
				t.Errorf("%s: the end of the certificate is not known", server.Setting)
			}
		}
		if err := prober.Login(t.Context(), f.Identity); err != nil {
			t.Errorf("a login of who may read: %v", err)
		}
	})
	t.Run("says which of the pod's tokens log in", func(t *testing.T) {
		f, s := start(t)
		taker, ok := f.Type.(store.TokenTaker)
		if !ok {
			return
		}
		taker.Audiences(store.Settings{Fields: map[string]any{"auth": "no settings"}}) // any settings
		audiences := taker.Audiences(f.Settings)
		for _, audience := range audiences {
			if _, brought := f.Identity.Tokens[audience]; !brought {
				t.Errorf("audience %s, and who may read brings none for it", audience)
			}
		}
		if len(audiences) == 0 {
			return
		}
		without := f.Identity
		without.ServiceAccount, without.Tokens = "without-tokens", map[string]identity.Token{}
		wantKind(t, s.(store.Prober).Login(t.Context(), without), fault.ErrUnauthenticated)
	})
	t.Run("is looked at while it cannot be reached", func(t *testing.T) {
		f, s := start(t)
		prober, ok := s.(store.Prober)
		if !ok || f.Fail == nil {
			return
		}
		f.Fail(t)
		servers, err := prober.Servers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		failed := false
		for _, server := range servers {
			trial := server.Try(t.Context(), time.Now)
			failed = failed || !trial.Secured() || trial.Answer != nil || trial.Date.IsZero()
		}
		if login := prober.Login(t.Context(), f.Identity); !failed && login == nil {
			t.Error("neither the way there nor a login tells")
		}
	})
}
