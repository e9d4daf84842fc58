package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/share"
)

// A login is not made under the context of the mount that began it, and yet in its
// namespace's share. What waits shows in the metrics.
func TestLoginsThatHangLeaveRoomForThoseOfOthers(t *testing.T) {
	for _, namespaces := range []int{1, 30} {
		t.Run(fmt.Sprint(namespaces), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				hanging := 0
				server := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if body, _ := io.ReadAll(r.Body); strings.Contains(string(body), "hangs") {
						mu.Lock()
						hanging++
						mu.Unlock()
						<-r.Context().Done()
						return
					}
					backendtest.WriteJSON(w, http.StatusOK, "application/json", map[string]any{"auth": map[string]any{"client_token": "hvs.a", "lease_duration": 3600}, "request_id": "1", "data": map[string]any{"a": "b"}})
				})
				registry := prometheus.NewRegistry()
				calls := remote.NewCalls(64)
				calls.Meter = share.NewMetrics(registry).Meter("calls")
				pool := NewPool(Options{Observed: "vault"})
				pool.transports = remote.NewTransports(remote.Options{Calls: calls, MaxAnswer: maxAnswerBytes, Dial: backendtest.InMemory(t, server, nil)})
				connection := connect(t, pool, func(s *Settings) { s.Address, s.Retries = "http://vault.test:8200", 0 })
				defer connection.Close()
				ask := func(namespace, account, token string) error {
					as := identity.Identity{Namespace: namespace, ServiceAccount: account, Tokens: map[string]identity.Token{defaultAudience: {JWT: secret.NewString(token)}}}
					_, _, err := connection.Call(share.With(t.Context(), namespace), as, get)
					return err
				}

				var hung sync.WaitGroup
				for i := range 300 {
					hung.Go(func() {
						if err := ask(fmt.Sprint("greedy", i%namespaces), fmt.Sprint(i), "hangs"); !errors.Is(err, fault.ErrUnavailable) {
							t.Errorf("error %v", err)
						}
					})
				}
				time.Sleep(time.Second)
				mu.Lock()
				if hanging < 64 || hanging > 64+namespaces*share.Guarantee {
					t.Errorf("%d logins are in flight, want bounds.storeCalls and guarantees", hanging)
				}
				mu.Unlock()
				if waiting := metric(t, registry, "lanyard_share_waiting"); waiting < 1 {
					t.Errorf("%v logins are told to wait", waiting)
				}
				if waiting := metric(t, registry, "lanyard_share_tenants_waiting"); waiting != float64(namespaces) {
					t.Errorf("%v namespaces are told to wait, want %d", waiting, namespaces)
				}
				began := time.Now()
				var others sync.WaitGroup
				for i := range 20 {
					others.Go(func() {
						if err := ask("prod", fmt.Sprint(i), "answers"); err != nil {
							t.Error(err)
						}
					})
				}
				others.Wait()
				// A tenant has its guarantee once the patience of package remote is over,
				// for the logins and then for the reads.
				if waited := time.Since(began); waited > time.Second {
					t.Errorf("another namespace waited %v", waited)
				}
				hung.Wait()
			})
		})
	}
}

// metric is a gauge with one label.
func metric(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// The login of the node itself is nobody's among namespaces.
func TestTheLoginOfTheNodeIsNotTheShareOfWhoBeganIt(t *testing.T) {
	tenants := make(chan string, 1)
	s := connected(t, Options{Tokens: tokenFunc(func(ctx context.Context) { tenants <- share.Of(ctx) })})
	as := identity.Identity{Namespace: "prod", ServiceAccount: "web"}
	_, _, _ = s.Call(share.With(t.Context(), "asks"), as, get)
	if got := <-tenants; got != "prod" {
		t.Errorf("the login of a pod is made for %q", got)
	}
	node := &sessions{auth: AuthSettings{Method: methodTokenFile}}
	if key := node.key(as); key != (identity.Key{}) {
		t.Errorf("the login of the node is kept for %+v", key)
	}
}

// tokenFunc is called for each token, and has none.
type tokenFunc func(context.Context)

func (f tokenFunc) Token(ctx context.Context, _ identity.Identity, _ string) (identity.Token, error) {
	f(ctx)
	return identity.Token{}, identity.ErrNoToken
}

func TestANamespaceWithManySessionsPushesOutItsOwn(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s := connected(t, Options{Now: func() time.Time { return now }})
	use := func(namespace string, account int) *slot {
		now = now.Add(time.Millisecond)
		return s.sessions.slot(identity.Identity{Namespace: namespace, ServiceAccount: fmt.Sprint(account)})
	}
	kept := make([]*slot, 100)
	for i := range kept {
		kept[i] = use("prod", i)
	}
	for i := range 2 * maxSessions {
		use("greedy", i)
	}
	if got := s.sessions.slots.Len(); got != maxSessions {
		t.Errorf("%d sessions are kept, want %d", got, maxSessions)
	}
	for i := range kept {
		if use("prod", i) != kept[i] {
			t.Fatal("a session was pushed out by those of another namespace")
		}
	}
}
