package credential_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/credential"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/share"
)

// One namespace may have any number of service accounts, roles and credentials.
func TestANamespaceWithManyCredentialsPushesOutItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := credential.NewSized[string](credential.Options{}, 100)
		defer cache.Close()
		from := &cloud{}
		get := func(key credential.Key) string {
			grant, err := cache.Get(t.Context(), key, from.exchange)
			if err != nil {
				t.Fatal(err)
			}
			return grant.Credential
		}
		kept := map[credential.Key]string{{Issuer: "node"}: ""}
		for i := range 30 {
			kept[credential.Key{Identity: identity.Key{Namespace: "prod", ServiceAccount: fmt.Sprint(i)}}] = ""
		}
		for key := range kept {
			kept[key] = get(key)
		}
		for i := range 1000 {
			get(credential.Key{Identity: identity.Key{Namespace: "greedy", ServiceAccount: fmt.Sprint(i)}, Role: fmt.Sprint(i % 3)})
		}
		if n := cache.Len(); n != 100 {
			t.Errorf("%d are kept, want 100", n)
		}
		for key, credential := range kept {
			if get(key) != credential {
				t.Errorf("the credential of %+v was pushed out", key)
			}
		}
	})
}

// Package remote shares the calls at an address between those for whom they are made.
func TestAnExchangeIsMadeForTheNamespaceOfItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := credential.New[string](credential.Options{})
		defer cache.Close()
		for _, namespace := range []string{"prod", "test", ""} {
			// Who asks first has no say: others share the exchange.
			grant, err := cache.Get(share.With(t.Context(), "asks"), credential.Key{Identity: identity.Key{Namespace: namespace}},
				func(ctx context.Context) (string, time.Time, error) { return share.Of(ctx), time.Time{}, nil })
			if err != nil || grant.Credential != namespace {
				t.Errorf("the exchange of namespace %q was made for another: %v", namespace, err)
			}
		}
	})
}
