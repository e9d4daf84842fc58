package credential_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/credential"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// Whoever asks, in whatever order: nobody is handed another's credential.
func TestIdentitiesNeverShare(t *testing.T) {
	cache := credential.NewSized[credential.Key](credential.Options{}, 20)
	defer cache.Close()
	var keys []credential.Key
	for _, account := range []string{"web", "api"} {
		for _, namespace := range []string{"prod", "test"} {
			for _, uid := range []string{"", "1"} {
				for _, role := range []string{"a", "b"} {
					for digest := range byte(2) {
						keys = append(keys, credential.Key{
							Identity: identity.Key{Namespace: namespace, ServiceAccount: account, UID: uid, Credentials: [32]byte{digest}},
							Role:     role,
						})
					}
				}
			}
		}
	}
	var exchanges atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 500 {
				key := keys[rand.N(len(keys))]
				grant, err := cache.Get(t.Context(), key, func(context.Context) (credential.Key, time.Time, error) {
					exchanges.Add(1)
					if rand.N(10) == 0 {
						return credential.Key{}, time.Time{}, fault.ErrUnavailable
					}
					return key, time.Now().Add(time.Duration(rand.N(3)) * time.Millisecond), nil
				})
				if err == nil && grant.Credential != key {
					t.Errorf("%+v was handed the credential of %+v", key, grant.Credential)
				}
				if err == nil && rand.N(5) == 0 {
					cache.Forget(key, grant)
				}
			}
		})
	}
	all.Wait()
	if exchanges.Load() == 0 {
		t.Error("nothing was exchanged")
	}
}
