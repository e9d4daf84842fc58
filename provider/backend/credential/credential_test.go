package credential_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/lanyardhq/lanyard/provider/backend/credential"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var web = credential.Key{Identity: identity.Key{Namespace: "prod", ServiceAccount: "web"}, Issuer: "sts", Role: "reader"}

// cloud grants credentials that last for life and are numbered.
type cloud struct {
	life  time.Duration
	takes time.Duration
	fail  error
	made  int
}

func (c *cloud) exchange(ctx context.Context) (string, time.Time, error) {
	select {
	case <-time.After(c.takes):
	case <-ctx.Done():
		return "", time.Time{}, ctx.Err()
	}
	if c.fail != nil {
		return "", time.Time{}, c.fail
	}
	c.made++
	if c.life == 0 {
		return fmt.Sprint(c.made), time.Time{}, nil
	}
	return fmt.Sprint(c.made), time.Now().Add(c.life), nil
}

// inBubble runs a test with a cache and a cloud whose time is the test's.
func inBubble(t *testing.T, body func(t *testing.T, cache *credential.Cache[string], from *cloud)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cache := credential.New[string](credential.Options{})
		defer cache.Close()
		body(t, cache, &cloud{life: time.Hour, takes: time.Second})
	})
}

func want(t *testing.T, cache *credential.Cache[string], from *cloud, expected string) *credential.Grant[string] {
	t.Helper()
	grant, err := cache.Get(t.Context(), web, from.exchange)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	if grant.Credential != expected {
		t.Errorf("Get = %q, want %q", grant.Credential, expected)
	}
	return grant
}

func TestAllWhoAskAtOnceShareOneExchange(t *testing.T) {
	inBubble(t, func(t *testing.T, cache *credential.Cache[string], from *cloud) {
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { want(t, cache, from, "1") })
		}
		all.Wait()
		want(t, cache, from, "1")
	})
}

func TestACredentialIsRenewedBeforeItEndsAndNobodyWaitsForIt(t *testing.T) {
	inBubble(t, func(t *testing.T, cache *credential.Cache[string], from *cloud) {
		want(t, cache, from, "1")
		time.Sleep(41 * time.Minute)
		want(t, cache, from, "1")
		time.Sleep(8 * time.Minute) // eight tenths of its life are over
		before := time.Now()
		want(t, cache, from, "1")
		want(t, cache, from, "1")
		if waited := time.Since(before); waited != 0 {
			t.Errorf("the one who asked waited %v for a renewal", waited)
		}
		time.Sleep(2 * time.Second)
		want(t, cache, from, "2")
		if from.made != 2 {
			t.Errorf("%d exchanges, want 2", from.made)
		}
	})
}

func TestACredentialIsNotHandedOutWhenItIsAboutToEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, cache *credential.Cache[string], from *cloud) {
		want(t, cache, from, "1")
		time.Sleep(59*time.Minute + time.Second)
		want(t, cache, from, "2")
	})
}

func TestACredentialWithoutAnEndIsKept(t *testing.T) {
	inBubble(t, func(t *testing.T, cache *credential.Cache[string], from *cloud) {
		from.life = 0
		want(t, cache, from, "1")
		for range 1000 { // while somebody asks now and then
			time.Sleep(50 * time.Minute)
			want(t, cache, from, "1")
		}
	})
}

func TestACredentialThatHadEndedWhenItCameIsNotKept(t *testing.T) {
	inBubble(t, func(t *testing.T, cache *credential.Cache[string], from *cloud) {
		from.life = -time.Minute // the node's clock is ahead
		want(t, cache, from, "1")
		want(t, cache, from, "2")
	})
}

func TestRenewalsAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := credential.New[string](credential.Options{})
		defer cache.Close()
		from := &cloud{life: time.Hour}
		renewed := map[time.Duration]int{}
		for i := range 200 {
			key := web
			key.Role = fmt.Sprint(i)
			if _, err := cache.Get(t.Context(), key, from.exchange); err != nil {
				t.Fatal(err)
			}
		}
		start, first := time.Now(), from.made
		for time.Since(start) < 55*time.Minute {
			time.Sleep(time.Minute)
			for i := range 200 {
				key := web
				key.Role = fmt.Sprint(i)
				if _, err := cache.Get(t.Context(), key, from.exchange); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
			}
			renewed[time.Since(start)] = from.made - first
			first = from.made
		}
		most, total := 0, 0
		for at, n := range renewed {
			most, total = max(most, n), total+n
			if n > 0 && (at < 42*time.Minute || at > 49*time.Minute) {
				t.Errorf("%d renewals after %v, want them between 42 and 49 minutes", n, at)
			}
		}
		if total != 200 || most > 80 {
			t.Errorf("%d renewals, up to %d in one minute; want 200, spread over six", total, most)
		}
	})
}

func TestWhatFailedDecidesWhetherTheOldCredentialStandsIn(t *testing.T) {
	for name, test := range map[string]struct {
		fail  error
		stays bool
	}{
		"unavailable":          {fmt.Errorf("%w: throttled", fault.ErrUnavailable), true},
		"the pod has no token": {fmt.Errorf("%w: none", identity.ErrNoToken), true},
		"refused":              {fmt.Errorf("%w: no such role", fault.ErrUnauthenticated), false},
		"denied":               {fmt.Errorf("%w: not this role", fault.ErrDenied), false},
		"of no kind":           {errors.New("what is this"), false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, cache *credential.Cache[string], from *cloud) {
				want(t, cache, from, "1")
				time.Sleep(50 * time.Minute)
				from.fail = test.fail
				want(t, cache, from, "1") // begins the renewal that fails
				time.Sleep(2 * time.Second)
				grant, err := cache.Get(t.Context(), web, from.exchange)
				if stayed := err == nil; stayed != test.stays {
					t.Errorf("after the failure: %v, %v; want that the old one stays: %v", grant, err, test.stays)
				}
				time.Sleep(10 * time.Minute) // the old one has ended
				if _, err := cache.Get(t.Context(), web, from.exchange); !errors.Is(err, test.fail) {
					t.Errorf("error %v, want the exchange's own: %v", err, test.fail)
				}
				from.fail = nil
				want(t, cache, from, "2")
			})
		})
	}
}

func TestAFailedRenewalIsNotTriedByEveryCaller(t *testing.T) {
	inBubble(t, func(t *testing.T, cache *credential.Cache[string], from *cloud) {
		want(t, cache, from, "1")
		time.Sleep(50 * time.Minute)
		tries := 0
		failing := func(context.Context) (string, time.Time, error) {
			tries++
			return "", time.Time{}, fault.ErrUnavailable
		}
		for range 600 { // a minute
			if _, err := cache.Get(t.Context(), web, failing); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if tries < 3 || tries > 13 {
			t.Errorf("%d tries in a minute, want one in 5 to 15 seconds", tries)
		}
	})
}

func TestOneWhoGivesUpDoesNotFailTheOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, cache *credential.Cache[string], from *cloud) {
		from.takes = 10 * time.Second
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := cache.Get(ctx, web, from.exchange); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the one who gave up got %v, want its context's error", err)
			}
		})
		time.Sleep(100 * time.Millisecond)
		all.Go(func() { want(t, cache, from, "1") })
		all.Wait()
	})
}

func TestOneWithoutATokenDoesNotFailTheOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, cache *credential.Cache[string], from *cloud) {
		var all sync.WaitGroup
		all.Go(func() {
			_, err := cache.Get(t.Context(), web, func(context.Context) (string, time.Time, error) {
				time.Sleep(time.Second)
				return "", time.Time{}, fmt.Errorf("%w: the driver passed none", identity.ErrNoToken)
			})
			if !errors.Is(err, identity.ErrNoToken) {
				t.Errorf("the one without a token got %v", err)
			}
		})
		time.Sleep(100 * time.Millisecond)
		all.Go(func() { want(t, cache, from, "1") })
		all.Wait()
	})
}

func TestAnExchangeThatTakesTooLongIsUnavailableAndNotTheCallersEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, cache *credential.Cache[string], from *cloud) {
		from.takes = time.Hour
		_, err := cache.Get(t.Context(), web, from.exchange)
		if !errors.Is(err, fault.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "30s") {
			t.Errorf("error %v, want unavailable after 30s", err)
		}
	})
}

func TestARefusedCredentialIsReplacedOnceAMinute(t *testing.T) {
	inBubble(t, func(t *testing.T, cache *credential.Cache[string], from *cloud) {
		first := want(t, cache, from, "1")
		if !cache.Forget(web, first) {
			t.Error("the first refusal is believed without a new credential")
		}
		second := want(t, cache, from, "2")
		if !cache.Forget(web, first) {
			t.Error("who was refused with an older credential is not told of the new one")
		}
		want(t, cache, from, "2")
		if cache.Forget(web, second) {
			t.Error("a second refusal within a minute costs another exchange")
		}
		want(t, cache, from, "2")
		time.Sleep(time.Minute)
		if !cache.Forget(web, second) {
			t.Error("a refusal a minute later is believed without a new credential")
		}
		want(t, cache, from, "3")
	})
}

func TestAPanicFailsItsExchangeAloneAndShowsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, cache *credential.Cache[string], from *cloud) {
		_, err := cache.Get(t.Context(), web, func(context.Context) (string, time.Time, error) { panic("token hunter2") })
		if !errors.Is(err, fault.ErrUnavailable) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error %v", err)
		}
		want(t, cache, from, "1")
	})
}

func TestAGrantShowsNoCredentialWhenPrinted(t *testing.T) {
	grant := credential.Grant[string]{Credential: "planted-7d1c3"}
	for _, printed := range []string{fmt.Sprint(grant), fmt.Sprint(&grant), fmt.Sprintf("%+v %#v %s %q %x", grant, &grant, grant, grant, grant)} {
		if strings.Contains(printed, "planted") || strings.Contains(printed, "706c616e") {
			t.Errorf("printed as %s", printed)
		}
	}
}

func TestCredentialsAreBoundedAndForgottenWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := credential.NewSized[string](credential.Options{}, 100)
		defer cache.Close()
		from := &cloud{}
		get := func(role string) string {
			key := web
			key.Role = role
			grant, err := cache.Get(t.Context(), key, from.exchange)
			if err != nil {
				t.Fatal(err)
			}
			return grant.Credential
		}
		kept := get("kept")
		for i := range 1000 {
			get(fmt.Sprint(i))
			if got := get("kept"); got != kept {
				t.Fatal("a credential in use was forgotten")
			}
		}
		if n := cache.Len(); n != 100 {
			t.Errorf("%d are kept, want 100", n)
		}
		time.Sleep(30 * time.Minute)
		get("new")
		time.Sleep(40 * time.Minute) // nobody asks any more
		if n := cache.Len(); n != 1 {
			t.Errorf("%d are kept after an hour without use, want the new one", n)
		}
		time.Sleep(40 * time.Minute)
		if n := cache.Len(); n != 0 {
			t.Errorf("%d are kept after an hour without use", n)
		}
	})
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := credential.New[string](credential.Options{})
		from := &cloud{takes: time.Hour}
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := cache.Get(t.Context(), web, from.exchange); !errors.Is(err, fault.ErrUnavailable) {
				t.Errorf("error %v, want unavailable", err)
			}
		})
		time.Sleep(time.Millisecond)
		cache.Close()
		all.Wait()
		if _, err := cache.Get(t.Context(), web, from.exchange); !errors.Is(err, fault.ErrUnavailable) {
			t.Errorf("after Close: error %v, want unavailable", err)
		}
	})
}

// Each exchange is told of once, however many wait for it.
func TestEachExchangeIsToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []remote.Login
		calls := remote.NewCalls(1)
		calls.Logins = func(_ context.Context, login remote.Login) { told = append(told, login) }
		cache := credential.New[string](credential.Options{Calls: calls, StoreType: "gcp"})
		defer cache.Close()
		from := &cloud{life: time.Hour, takes: time.Second}
		key := web
		key.Method = "workloadIdentity"
		get := func() error {
			_, err := cache.Get(t.Context(), key, from.exchange)
			return err
		}
		var all sync.WaitGroup
		for range 9 {
			all.Go(func() { _ = get() })
		}
		all.Wait()
		from.fail = fault.ErrDenied
		time.Sleep(2 * time.Hour)
		_ = get()
		if len(told) != 2 || told[0].Identity != key.Identity || told[0].StoreType != "gcp" || told[0].Method != "workloadIdentity" || told[0].Err != nil || !errors.Is(told[1].Err, fault.ErrDenied) {
			t.Errorf("told %+v", told)
		}
	})
}
