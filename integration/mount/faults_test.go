package mount

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
)

// A fault that passes costs a pod nothing but time. One that stays fails the
// mount with its cause, and the same process serves again when it is over.
func TestFaultsOfVaultAreSurvivedOrToldAndEndWithoutARestart(t *testing.T) {
	t.Parallel()
	n := newNode(t, setup{bounds: "readTimeout: 4s", vault: "timeout: 1s\n    retries: 1"})
	for name, c := range map[string]struct {
		fault faultproxy.Fault
		want  string
	}{
		"slow beyond the timeout": {
			faultproxy.Fault{Delay: time.Minute},
			"did not answer within 1s; see the setting timeout",
		},
		"throttling": {
			faultproxy.Fault{Status: 429, Header: http.Header{"Retry-After": {"1"}}, Body: `{"errors":["rate limit quota exceeded"]}`},
			"Vault is throttling (too many calls): a rate limit quota is exhausted (429); Vault says: rate limit quota exceeded",
		},
		"failing": {
			faultproxy.Fault{Status: 500, Body: `{"errors":["internal error"]}`},
			"Vault failed with status 500; Vault says: internal error",
		},
		"sealed": {
			faultproxy.Fault{Status: 503, Body: `{"errors":["Vault is sealed"]}`},
			"Vault is sealed (503); an operator has to unseal it",
		},
		"closing connections": {
			faultproxy.Fault{Refuse: true},
			"cannot be reached: EOF",
		},
		"closing connections without an answer": {
			faultproxy.Fault{Hangup: true},
			"cannot be reached: EOF",
		},
		"closing connections half way": {
			faultproxy.Fault{HalfBody: true},
			"cannot be reached: unexpected EOF",
		},
		"sending empty bodies": {
			faultproxy.Fault{EmptyBody: true},
			"Vault answered 200 with an empty body",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := "web/" + strings.ReplaceAll(name, " ", "-") + "/db" // no prefix of another
			n.put(t, key, map[string]any{"value": "good"})
			objects := asWeb("[{path: file, store: vault, key: secret/data/" + key + ", property: value}]")
			web := n.pod(t, "shop", "web")

			c.fault.Prefix = "secret/data/" + key
			remove := n.proxy.Add(c.fault)
			got := n.refused(t, web, objects, codes.Unknown)
			if want := "object 1 (file): vault: GET secret/data/" + key + ": "; !strings.HasPrefix(got, want) || !strings.Contains(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s… %s", got, want, c.want)
			}
			remove()

			c.fault.Times = 1
			n.proxy.Add(c.fault)
			if _, err := n.mount(t.Context(), web, objects); err != nil {
				n.mounted(t, web, objects) // as the kubelet does
			}
			if got := web.holds(t)["file"]; got != "good" {
				t.Errorf("after the fault the file holds %q", got)
			}
		})
	}
}

func TestSlowVaultWithinTheTimeoutIsWaitedFor(t *testing.T) {
	t.Parallel()
	n := newNode(t, setup{bounds: "readTimeout: 10s", vault: "timeout: 5s"})
	web := n.pod(t, "shop", "web")
	n.put(t, "web/db", map[string]any{"value": "late"})
	n.proxy.SetDelay(time.Second)
	n.mounted(t, web, asWeb("[{path: file, store: vault, key: secret/data/web/db, property: value}]"))
	if got := web.holds(t)["file"]; got != "late" {
		t.Errorf("the file holds %q", got)
	}
}

func TestThrottledRequestIsRepeatedWhenVaultSaysSo(t *testing.T) {
	t.Parallel()
	n := newNode(t, setup{vault: "retries: 1"})
	web := n.pod(t, "shop", "web")
	n.put(t, "web/db", map[string]any{"value": "value"})
	n.proxy.Add(faultproxy.Fault{Prefix: "secret/data/web/db", Times: 1, Status: 429, Header: http.Header{"Retry-After": {"1"}}})
	n.mounted(t, web, asWeb("[{path: file, store: vault, key: secret/data/web/db, property: value}]"))
	var at []time.Time
	for _, request := range n.proxy.Requests() {
		if request.Path == "secret/data/web/db" {
			at = append(at, request.At)
		}
	}
	if len(at) != 2 || at[1].Sub(at[0]) < time.Second {
		t.Errorf("requests at %v, want two with at least a second between them", at)
	}
}

func TestLoginRefusedOnceIsToldAndTriedAgainAtTheNextMount(t *testing.T) {
	t.Parallel()
	n := newNode(t, setup{vault: "retries: 0"})
	web := n.pod(t, "shop", "web")
	n.put(t, "web/db", map[string]any{"value": "good"})
	objects := asWeb("[{path: file, store: vault, key: secret/data/web/db, property: value}]")
	n.proxy.Add(faultproxy.Fault{Prefix: "auth/jwt/login", Times: 1, Status: 403, Body: `{"errors":["permission denied"]}`})
	got := n.refused(t, web, objects, codes.Unauthenticated)
	if want := `object 1 (file): vault: login as role "web" at auth/jwt: refused (403)`; !strings.HasPrefix(got, want) {
		t.Errorf("got\n%s\nwant\n%s…", got, want)
	}
	n.mounted(t, web, objects)
	if got := web.holds(t)["file"]; got != "good" {
		t.Errorf("the file holds %q", got)
	}
}

func TestRevokedLoginIsReplacedWithinTheMount(t *testing.T) {
	t.Parallel()
	n := newNode(t, quick())
	web := n.pod(t, "shop", "web")
	n.put(t, "web/db", map[string]any{"value": "old"})
	objects := asWeb("[{path: file, store: vault, key: secret/data/web/db, property: value}]")
	n.mounted(t, web, objects)
	n.vault.Must(t, http.MethodPut, "sys/leases/revoke-prefix/auth/jwt/login", nil)
	n.put(t, "web/db", map[string]any{"value": "new"})
	waitFor(t, "the new value", func() bool {
		n.mounted(t, web, objects)
		return web.holds(t)["file"] == "new"
	})
	if logins := n.proxy.Count("", "auth/jwt/login"); logins != 2 {
		t.Errorf("%d logins, want 2", logins)
	}
}

// The proxy issues a credential whose lease Vault does not know, as if an
// administrator had revoked it.
func TestLeaseThatCannotBeRenewedIsReplacedAtTheNextPoll(t *testing.T) {
	t.Parallel()
	n := newNode(t, setup{vault: "retries: 0"})
	n.vault.Must(t, http.MethodPost, "sys/policies/acl/web", map[string]any{"policy": `path "database/creds/web" { capabilities = ["read"] }`})
	web := n.pod(t, "shop", "web")
	issue := func(user string) {
		n.proxy.Add(faultproxy.Fault{Prefix: "database/creds/web", Times: 1, Status: 200, Body: `{"request_id":"1","lease_id":"database/creds/web/` + user + `",
			"lease_duration":6,"renewable":true,"data":{"username":"` + user + `"}}`})
	}
	objects := asWeb("[{path: user, store: vault, key: database/creds/web, property: username}]")

	issue("first")
	before := n.mounted(t, web, objects)
	issue("second")
	if again := n.mounted(t, web, objects); !maps.Equal(again, before) {
		t.Errorf("a poll issued a credential anew: versions %v, before %v", again, before)
	}
	waitFor(t, "the credential to be replaced", func() bool {
		n.mounted(t, web, objects)
		return web.holds(t)["user"] == "second"
	})
	if tried := n.proxy.Count("", "sys/leases/renew"); tried != 1 {
		t.Errorf("the lease was offered for renewal %d times, want once", tried)
	}
	if issued := n.proxy.Count("", "database/creds/web"); issued != 2 {
		t.Errorf("%d credentials were issued, want 2", issued)
	}
}

// A Vault that is down takes nothing from the service accounts that have read
// before, new pods of theirs included, and gives nothing to others.
func TestVaultThatIsDownTakesNothingAway(t *testing.T) {
	t.Parallel()
	n := newNode(t, quick())
	n.put(t, "all/db", map[string]any{"value": "old"})
	objects := asRole("all", "[{path: file, store: vault, key: secret/data/all/db, property: value}]")
	web := n.pod(t, "shop", "web")
	n.mounted(t, web, objects)

	remove := n.proxy.Add(faultproxy.Fault{Refuse: true})
	n.proxy.Reset()
	waitFor(t, "a refresh that fails", func() bool {
		n.mounted(t, web, objects)
		return n.proxy.Count("", "secret/data/all/db") > 0
	})
	another := n.pod(t, "shop", "web")
	n.mounted(t, another, objects)
	if got := another.holds(t)["file"]; got != "old" {
		t.Errorf("another pod's file holds %q", got)
	}
	stranger := n.pod(t, "shop", "api")
	if got := n.refused(t, stranger, objects, codes.Unknown); !strings.Contains(got, "cannot be reached") {
		t.Errorf("got %s", got)
	}

	remove()
	n.put(t, "all/db", map[string]any{"value": "new"})
	n.mounted(t, stranger, objects)
	waitFor(t, "the new value", func() bool {
		n.mounted(t, web, objects)
		return web.holds(t)["file"] == "new"
	})
}

func TestVaultThatIsDownIsToldWhenTheOperatorAllowsNoOlderValue(t *testing.T) {
	t.Parallel()
	n := newNode(t, setup{cache: "refresh: 1s, staleOnError: 0s", vault: "retries: 0"})
	n.put(t, "web/db", map[string]any{"value": "old"})
	objects := asWeb("[{path: file, store: vault, key: secret/data/web/db, property: value}]")
	web := n.pod(t, "shop", "web")
	n.mounted(t, web, objects)
	n.proxy.Add(faultproxy.Fault{Refuse: true})
	waitFor(t, "a mount to fail", func() bool {
		_, err := n.mount(t.Context(), web, objects)
		return err != nil && strings.Contains(err.Error(), "cannot be reached")
	})
	// The driver keeps what it wrote before.
	if got := web.holds(t)["file"]; got != "old" {
		t.Errorf("the file holds %q", got)
	}
}

func TestSealedVaultServesAgainOnceUnsealed(t *testing.T) {
	t.Parallel()
	n := newNode(t, setup{vault: "retries: 0"})
	n.put(t, "web/db", map[string]any{"value": "good"})
	objects := asWeb("[{path: file, store: vault, key: secret/data/web/db, property: value}]")
	web := n.pod(t, "shop", "web")
	if err := n.vault.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	const want = `object 1 (file): vault: login as role "web" at auth/jwt: Vault is sealed (503); an operator has to unseal it`
	if got := n.refused(t, web, objects, codes.Unknown); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if err := n.vault.Unseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.mounted(t, web, objects)
	if got := web.holds(t)["file"]; got != "good" {
		t.Errorf("the file holds %q", got)
	}
}
