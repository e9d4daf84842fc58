package mount

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
	"github.com/lanyardhq/lanyard/integration/issuer"
)

// The cache holds what one service account has read. Another, with the very
// same class, is judged by Vault.
func TestServiceAccountGetsNothingOfAnothersFromTheCache(t *testing.T) {
	t.Parallel()
	n := newNode(t, setup{cache: "refresh: 1h", vault: "retries: 0"})
	web, api := n.pod(t, "shop", "web"), n.pod(t, "shop", "api")
	n.put(t, web.own("db"), map[string]any{"value": "web's"})
	objects := asRole("all", "[{path: file, store: vault, key: 'secret/data/"+web.own("db")+"', property: value}]")
	n.mounted(t, web, objects)

	got := n.refused(t, api, objects, codes.PermissionDenied)
	want := `object 1 (file): vault: GET secret/data/` + web.own("db") + `: permission denied for role "all" at auth/jwt: its policies need read on secret/data/` + web.own("db") + "; a role that was changed meanwhile is tried again within 10 minutes"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := len(api.holds(t)); got != 0 {
		t.Errorf("the volume of the other service account has %d files", got)
	}

	// A role that is not its own does not even log it in.
	n.put(t, "web/db", map[string]any{"value": "web's"})
	asWebs := asWeb("[{path: file, store: vault, key: secret/data/web/db, property: value}]")
	n.mounted(t, web, asWebs)
	got = n.refused(t, api, asWebs, codes.Unauthenticated)
	if want := `object 1 (file): vault: login as role "web" at auth/jwt: refused (400)`; !strings.HasPrefix(got, want) {
		t.Errorf("got\n%s\nwant\n%s…", got, want)
	}
}

// A service account that was deleted and made anew is another one, whatever
// its name, and so is a pod that brings credentials of its own.
func TestNamesakeGetsNothingFromTheCache(t *testing.T) {
	t.Parallel()
	n := newNode(t, setup{cache: "refresh: 1h, staleOnError: 1h", vault: "retries: 0"})
	n.put(t, "web/db", map[string]any{"value": "value"})
	objects := asWeb("[{path: file, store: vault, key: secret/data/web/db, property: value}]")
	n.mounted(t, n.pod(t, "shop", "web"), objects)

	anew := n.pod(t, "shop", "web")
	text, err := n.issuer.Token(issuer.Claims{Audience: "vault", Namespace: "shop", ServiceAccount: "web", UID: "another", Pod: anew.name, PodUID: anew.uid})
	if err != nil {
		t.Fatal(err)
	}
	anew.tokens = map[string]token{"vault": {text, time.Now().Add(time.Hour)}}
	credentialed := n.pod(t, "shop", "web")
	credentialed.credentials = map[string]string{"user": "web"}

	for name, p := range map[string]pod{"made anew": anew, "with credentials": credentialed} {
		n.proxy.Reset()
		n.mounted(t, p, objects)
		if reads, logins := n.proxy.Count(http.MethodGet, "secret/data/web/db"), n.proxy.Count("", "auth/"); reads != 1 || logins != 1 {
			t.Errorf("%s: %d reads and %d logins, want 1 and 1", name, reads, logins)
		}
	}
	n.proxy.Add(faultproxy.Fault{Refuse: true})
	n.mounted(t, n.pod(t, "shop", "web"), objects) // of the first one: from memory
}

// What was issued for a time belongs to one pod, however many ask at once, and
// is not issued anew by its polls.
func TestCertificateIsIssuedOnceForEachPod(t *testing.T) {
	t.Parallel()
	n := newNode(t, setup{cache: "refresh: 1s"})
	n.preparePKI(t)
	objects := asWeb("[{path: tls.crt, store: vault, key: pki/issue/web, property: certificate, options: {method: POST, body: {common_name: web.shop.example}}}]")
	var f fleet
	for range 20 {
		f.pods, f.classes = append(f.pods, n.pod(t, "shop", "web")), append(f.classes, objects)
	}
	n.mountAll(t, f)
	owners := map[string]string{}
	for _, p := range f.pods {
		certificate := p.holds(t)["tls.crt"]
		if owner, shared := owners[certificate]; shared {
			t.Errorf("%s and %s have the same certificate", p.name, owner)
		}
		owners[certificate] = p.name
	}

	// A value without a lease would be read again by now.
	n.put(t, "web/clock", map[string]any{"value": "old"})
	clock, read := n.pod(t, "shop", "web"), asWeb("[{path: clock, store: vault, key: secret/data/web/clock, property: value}]")
	n.mounted(t, clock, read)
	n.put(t, "web/clock", map[string]any{"value": "new"})
	waitFor(t, "a refresh interval to be over", func() bool {
		n.mounted(t, clock, read)
		return clock.holds(t)["clock"] == "new"
	})
	n.mountAll(t, f)
	if issued := n.proxy.Count("", "pki/issue/web"); issued != len(f.pods) {
		t.Errorf("%d certificates were issued for %d pods", issued, len(f.pods))
	}
	if logins := n.proxy.Count("", "auth/jwt/login"); logins != 1 {
		t.Errorf("%d logins, want 1", logins)
	}
}

func TestStoreOfTheNodeIsForTheServiceAccountsThatTheOperatorNames(t *testing.T) {
	t.Parallel()
	eachDoor(t, setup{}, func(t *testing.T, n *node) {
		stranger := n.pod(t, "bank", "web")
		got := n.refused(t, stranger, class{"objects": "[{path: file, store: files, key: licence}]"}, codes.PermissionDenied)
		const want = "object 1 (file): files: permission denied: the operator's allow list for this store has no entry for bank/web"
		if got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// The driver merges a pod's volume attributes over the class, so whatever the
// operator pinned may be contradicted by anyone who can make a pod.
func TestVolumeAttributesCannotOverrideWhatTheOperatorPinned(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(elsewhere.Close)
	n := newNode(t, setup{auth: "method: jwt, mount: jwt, role: web", vault: "retries: 0"})
	web := n.pod(t, "shop", "web")
	n.put(t, "web/db", map[string]any{"value": "value"})
	objects := class{"objects": "[{path: file, store: vault, key: secret/data/web/db, property: value}]"}

	const pinned = ": pinned by the operator's configuration of store vault; remove it here"
	for name, c := range map[string]struct{ stores, want string }{
		"address":               {"{vault: {address: '" + elsewhere.URL + "'}}", "stores.vault.address" + pinned},
		"tls":                   {"{vault: {tls: {insecureSkipVerify: true}}}", "stores.vault.tls.insecureSkipVerify" + pinned},
		"tls authority":         {"{vault: {tls: {caCert: mine}}}", "stores.vault.tls.caCert" + pinned},
		"role":                  {"{vault: {auth: {role: admin}}}", "stores.vault.auth.role" + pinned},
		"auth mount":            {"{vault: {auth: {mount: other}}}", "stores.vault.auth.mount" + pinned},
		"auth method":           {"{vault: {auth: {method: tokenFile, tokenFile: /etc/shadow}}}", "stores.vault.auth.method" + pinned + "; stores.vault.auth.tokenFile" + pinned},
		"timeout":               {"{vault: {timeout: 1m}}", "stores.vault.timeout" + pinned},
		"type":                  {"{vault: {type: file, root: /etc}}", "stores.vault.type: the operator's configuration says vault; remove it here"},
		"key ring":              {"{sealed: {keyRing: /tmp/mine}}", "stores.sealed.keyRing: pinned by the operator's configuration of store sealed; remove it here"},
		"root":                  {"{files: {root: /etc}}", "stores.files.root: pinned by the operator's configuration of store files; remove it here"},
		"allow":                 {"{files: {allow: ['*/*']}}", "stores.files.allow: pinned by the operator's configuration of store files; remove it here"},
		"a store of the node's": {"{mine: {type: file, root: /etc}}", "stores.mine.root: a store of type file reads the node's files, so only the operator's configuration file may define one; use a store that it names"},
	} {
		t.Run(name, func(t *testing.T) {
			with := maps.Clone(objects)
			with["stores"] = c.stores
			got := n.refused(t, web, with, codes.InvalidArgument)
			if want := "the SecretProviderClass cannot be used: " + c.want; got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
	if asked.Load() != 0 || n.proxy.Count("", "") != 0 {
		t.Errorf("a refused class made %d calls elsewhere and %d to Vault", asked.Load(), n.proxy.Count("", ""))
	}
	n.mounted(t, web, objects)
}

func TestClassesDefineNoStoresWhereTheOperatorForbidsIt(t *testing.T) {
	t.Parallel()
	eachDoor(t, setup{more: "policy: {classStores: false}"}, func(t *testing.T, n *node) {
		web := n.pod(t, "shop", "web")
		got := n.refused(t, web, class{
			"stores":  "{mine: {type: vault, address: '" + n.proxy.Address + "', auth: {method: jwt}}}",
			"objects": "[{path: file, store: mine, key: secret/data/web/db}]",
		}, codes.InvalidArgument)
		const want = "the SecretProviderClass cannot be used: stores.mine: the operator does not let classes define stores; this node's configuration names files, sealed, vault"
		if got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		if calls := n.proxy.Count("", ""); calls != 0 {
			t.Errorf("%d calls were made", calls)
		}
	})
}
