package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/key/vault"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/sealed"
)

// sealing is a Vault as docs/keys/vault.md sets it up for sealed values: one
// derived key, a policy for those who seal and may not open, and for each
// namespace a policy and a role that may open what is sealed for it.
type sealing struct {
	*fixture
	with  *seal.ServiceKey
	store store.Store
}

func newSealing(t *testing.T) *sealing {
	t.Helper()
	s := &sealing{fixture: newFixture(t, map[string]any{"derived": true})}
	s.policyText(t, s.name+"-seal", fmt.Sprintf(`
		path "%[1]s/keys/kms"    { capabilities = ["read"] }
		path "%[1]s/encrypt/kms" { capabilities = ["update"] }`, s.transit()))
	sealers := s.Must(t, "POST", "auth/token/create", map[string]any{"policies": []string{"default", s.name + "-seal"}, "ttl": "1h"}).Auth.ClientToken
	developer := open(t, s.settings(map[string]any{"method": "tokenFile", "tokenFile": file(t, sealers)}, nil))
	var err error
	if s.with, err = seal.NewServiceKey("prod", developer, true); err != nil {
		t.Fatal(err)
	}
	for _, namespace := range []string{"shop", "shop2"} {
		s.mayOpen(t, "sealed-"+namespace, namespace, "web", prefixOf(key.Context{"cluster": "test", "namespace": namespace}))
	}
	settings := s.settings(s.asPod("sealed-{namespace}"), map[string]any{"type": "vault"})
	s.store, err = sealed.NewType(sealed.Options{KeyTypes: []key.Type{vault.NewType(vault.Options{})}}).Open(store.Settings{
		ByOperator: true, Fields: map[string]any{"keys": []any{map[string]any{"name": "prod", "service": settings.Fields}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.store.Close)
	return s
}

// mayOpen makes a role of one service account that may open what begins with one
// of the prefixes.
func (s *sealing) mayOpen(t *testing.T, role, namespace, account string, prefixes ...string) {
	t.Helper()
	allowed := make([]string, len(prefixes))
	for i, prefix := range prefixes {
		allowed[i] = fmt.Sprintf("%q", prefix+"*")
	}
	s.policyText(t, s.name+"-"+role, fmt.Sprintf(`
		path "%s/decrypt/kms" {
		  capabilities       = ["update"]
		  allowed_parameters = { "ciphertext" = [], "context" = [%s] }
		}`, s.transit(), strings.Join(allowed, ", ")))
	s.role(t, role, namespace, account, "default", s.name+"-"+role)
}

func (s *sealing) seal(t *testing.T, scope seal.Scope) string {
	t.Helper()
	text, err := seal.SealWith(t.Context(), s.with, scope, secret.NewString("value"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (s *sealing) opened(t *testing.T, as identity.Identity, text string) error {
	t.Helper()
	value, err := s.store.Read(t.Context(), as, store.Reference{Key: text, Object: "db/password"})
	if (err == nil) != (value.Data.RevealString() == "value") {
		t.Errorf("Read: %d bytes and %v", value.Data.Len(), err)
	}
	return err
}

// scopeOf is the narrowest scope of an object of the service account.
func scopeOf(namespace, account string) seal.Scope {
	return seal.Scope{Cluster: seal.Exact("test"), Namespace: seal.Exact(namespace), ServiceAccount: seal.Exact(account), Object: seal.Exact("db/password")}
}

func TestSealedValuesAreOpenedByTheirOwnNamespaceAlone(t *testing.T) {
	s := newSealing(t)
	shop, shop2 := s.pod(t, "shop", "web"), s.pod(t, "shop2", "web")
	namespaceWide, anywhere := scopeOf("shop", "web"), scopeOf("shop", "web")
	namespaceWide.ServiceAccount, namespaceWide.Object = seal.Any(), seal.Any()
	anywhere.Namespace = seal.Any()
	for name, c := range map[string]struct {
		scope seal.Scope
		as    identity.Identity
		want  error
		cause error
	}{
		"its own":                           {scopeOf("shop", "web"), shop, nil, nil},
		"the other's own":                   {scopeOf("shop2", "web"), shop2, nil, nil},
		"for all of its namespace":          {namespaceWide, shop, nil, nil},
		"another namespace's, by Lanyard":   {scopeOf("shop2", "web"), shop, fault.ErrDenied, seal.ErrOtherNamespace},
		"for any namespace, by Vault":       {anywhere, shop, fault.ErrDenied, seal.ErrKeyService},
		"another service account, by login": {scopeOf("shop", "api"), s.pod(t, "shop", "api"), fault.ErrUnauthenticated, seal.ErrKeyService},
	} {
		t.Run(name, func(t *testing.T) {
			err := s.opened(t, c.as, s.seal(t, c.scope))
			if !errors.Is(err, c.want) || c.cause != nil && !errors.Is(err, c.cause) {
				t.Errorf("error %v, want %v and %v", err, c.want, c.cause)
			}
		})
	}
}

// A pod that asks Vault by itself, with its own login and the true context of
// another namespace's value, is refused by Vault's policy: nothing hangs on
// Lanyard's own check.
func TestVaultItselfKeepsNamespacesApart(t *testing.T) {
	s := newSealing(t)
	for _, namespace := range []string{"shop", "shop2"} {
		pod := s.pod(t, namespace, "web")
		recorded := &recorder{Key: open(t, s.settings(s.asPod("sealed-"+namespace), nil))}
		// Whoever it is sealed for, it is asked for as this pod.
		for _, of := range []string{"shop", "shop2", "shop3"} {
			parsed, err := seal.Parse(s.seal(t, scopeOf(of, "web")))
			if err != nil {
				t.Fatal(err)
			}
			asks, err := seal.NewServiceKey("prod", &impostor{recorded, pod}, false)
			if err != nil {
				t.Fatal(err)
			}
			value, err := parsed.Open(t.Context(), seal.Keys{Services: []*seal.ServiceKey{asks}}, identity.Identity{Cluster: "test", Namespace: of, ServiceAccount: "web"}, "db/password", parsed.Scope().NotAfter)
			switch {
			case of == namespace && (err != nil || value.RevealString() != "value"):
				t.Errorf("%s opens its own: %v", namespace, err)
			case of != namespace && (!errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), "permission denied")):
				t.Errorf("%s opens what is of %s: error %v", namespace, of, err)
			}
		}
		if len(recorded.bound) != 3 {
			t.Errorf("Vault was asked %d times, want 3", len(recorded.bound))
		}
	}
}

// recorder notes the contexts that are asked for.
type recorder struct {
	key.Key
	bound []key.Context
}

// impostor asks as one pod, whoever it was asked for.
type impostor struct {
	*recorder
	as identity.Identity
}

// Decrypt implements key.Key.
func (i *impostor) Decrypt(ctx context.Context, _ identity.Identity, ciphertext key.Ciphertext, bound key.Context) (secret.Bytes, error) {
	i.bound = append(i.bound, bound)
	return i.Key.Decrypt(ctx, i.as, ciphertext, bound)
}

// A policy may be as narrow as one service account: the pairs of a context are
// in the order from wide to narrow.
func TestAPolicyLetsOneServiceAccountOpen(t *testing.T) {
	s := newSealing(t)
	own := key.Context{"cluster": "test", "namespace": "shop", "service-account": "web"}
	s.mayOpen(t, "narrow", "shop", "web", prefixOf(own))
	pod := s.pod(t, "shop", "web")
	reader := open(t, s.settings(s.asPod("narrow"), nil))
	asks, err := seal.NewServiceKey("prod", &impostor{&recorder{Key: reader}, pod}, false)
	if err != nil {
		t.Fatal(err)
	}
	expiring := scopeOf("shop", "web")
	expiring.NotAfter = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	wide := scopeOf("shop", "web")
	wide.ServiceAccount = seal.Any()
	for name, c := range map[string]struct {
		scope seal.Scope
		want  error
	}{
		"its own":                   {scopeOf("shop", "web"), nil},
		"its own that expires":      {expiring, nil},
		"another service account's": {scopeOf("shop", "api"), fault.ErrDenied},
		"one for its namespace":     {wide, fault.ErrDenied},
		"one that begins alike":     {scopeOf("shop", "web2"), fault.ErrDenied},
	} {
		t.Run(name, func(t *testing.T) {
			parsed, err := seal.Parse(s.seal(t, c.scope))
			if err != nil {
				t.Fatal(err)
			}
			as := identity.Identity{Cluster: "test", Namespace: "shop", ServiceAccount: c.scope.ServiceAccount.String()}
			if _, err := parsed.Open(t.Context(), seal.Keys{Services: []*seal.ServiceKey{asks}}, as, "db/password", parsed.Scope().NotAfter); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
}

// Who may encrypt may not decrypt.
func TestWhoSealsCannotOpen(t *testing.T) {
	s := newSealing(t)
	parsed, err := seal.Parse(s.seal(t, scopeOf("shop", "web")))
	if err != nil {
		t.Fatal(err)
	}
	_, err = parsed.Open(t.Context(), seal.Keys{Services: []*seal.ServiceKey{s.with}}, s.pod(t, "shop", "web"), "db/password", parsed.Scope().NotAfter)
	if !errors.Is(err, fault.ErrDenied) {
		t.Errorf("error %v, want denied", err)
	}
}

// A rotated key opens what its older versions wrapped.
func TestSealedValuesOutliveARotation(t *testing.T) {
	s := newSealing(t)
	before := s.seal(t, scopeOf("shop", "web"))
	s.rotate(t)
	after := s.seal(t, scopeOf("shop", "web"))
	var versions []string
	for _, text := range []string{before, after} {
		if err := s.opened(t, s.pod(t, "shop", "web"), text); err != nil {
			t.Error(err)
		}
		parsed, err := seal.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		_, version, _ := parsed.ServiceKey()
		versions = append(versions, version)
	}
	if !slices.Equal(versions, []string{"v1", "v2"}) {
		t.Errorf("versions %v", versions)
	}
}
