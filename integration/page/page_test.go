package page

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/server/status"
)

func ago(d time.Duration) time.Time { return time.Now().Add(-d).UTC() }

// provider are the facts of a provider that has nothing to complain of.
func provider() *status.Facts {
	store := func(name, kind string, calls uint64) engine.StoreFacts {
		return engine.StoreFacts{Name: name, Type: kind, State: engine.StoreUp, Calls: calls, Reads: calls * 3, LatencySeconds: .0042}
	}
	f := &status.Facts{Program: "serve", Version: "v0.9.0", Node: "worker-3", Started: ago(51 * time.Hour), Facts: &engine.Facts{
		Stores: []engine.StoreFacts{store("vault", "vault", 812), store("aws", "aws-secrets-manager", 64), {Name: "old-vault", Type: "vault", State: engine.StoreUnasked}},
		Cache:  engine.CacheFacts{Bytes: 5 << 20, Bound: 64 << 20, Entries: 41, Volumes: 6, Leases: 1, Shares: []engine.ShareFacts{{Namespace: "shop", Bytes: 4 << 20}, {Namespace: "billing", Bytes: 1 << 20}}},
	}}
	for i, of := range []struct{ namespace, pod, account, class, dialect string }{
		{"shop", "web-7d9f4c6b5-2xkqp", "web", "web", "lanyard"},
		{"shop", "web-7d9f4c6b5-9hv4m", "web", "web", "lanyard"},
		{"shop", "worker-0", "worker", "worker", "vault"},
		{"billing", "invoices-5b8c9-zl2tt", "invoices", "invoices", "aws"},
	} {
		v := engine.VolumeFacts{
			Namespace: of.namespace, Pod: of.pod, PodUID: fmt.Sprint("uid-", i), ServiceAccount: of.account, Class: of.class, Dialect: of.dialect,
			Mounted: ago(26 * time.Hour), Answered: ago(40 * time.Second), Polled: ago(40 * time.Second), State: engine.VolumeOK,
		}
		for j, name := range []string{"db/password", "db/user", "tls/cert.pem"} {
			v.Objects = append(v.Objects, engine.ObjectFacts{
				Object: name, Version: "55b34640-64e11353826629e2", Store: "vault", StoreName: "vault", StoreType: "vault", StoreVersion: fmt.Sprint(j + 3),
				Source: engine.FromCache, Read: ago(40 * time.Second), Due: time.Now().Add(-15 * time.Second),
			})
		}
		v.Objects = append(v.Objects, engine.ObjectFacts{Object: "app.properties", Version: "55b34640-97c9730b5f90ba12", Source: engine.FromTemplate})
		f.Volumes = append(f.Volumes, v)
	}
	f.Volumes[2].Objects[0].LeaseEnd = time.Now().Add(43 * time.Minute)
	f.Leases = []engine.LeaseFacts{{
		Namespace: "shop", ServiceAccount: "worker", Pod: "worker-0", PodUID: "uid-2", Objects: []string{"db/password"}, Store: "vault", StoreType: "vault",
		State: engine.LeaseOK, Expires: time.Now().Add(43 * time.Minute), Renews: time.Now().Add(12 * time.Minute),
	}}
	return f
}

// troubled are the facts of a provider on a bad day: every state that there is.
func troubled() *status.Facts {
	f := provider()
	f.Stores[0].State, f.Stores[0].Since, f.Stores[0].Failures = engine.StoreDown, ago(7*time.Minute), 18
	f.Stores[0].Error, f.Stores[0].LastFailure = "unavailable: vault.example.com: connection refused", ago(9*time.Second)
	f.Volumes[0].State, f.Volumes[0].Objects[0].Stale, f.Volumes[0].Objects[1].Stale = engine.VolumeStale, true, true
	f.Volumes[1].Objects[2].Behind, f.Volumes[1].Objects[1].Lagging = true, true
	f.Volumes[2].State, f.Volumes[2].Kind, f.Volumes[2].Since = engine.VolumeFailed, "denied", ago(4*time.Minute)
	f.Volumes[2].Error = "object 1 (db/password): vault: permission denied: database/creds/worker: the policies of role worker do not allow reading it"
	f.Leases[0].State = engine.LeaseEnding
	f.Leases = append(f.Leases, engine.LeaseFacts{Namespace: "shop", PodUID: "a3c1", Store: "vault", StoreType: "vault", State: engine.LeaseEnded, Expires: ago(time.Minute)})
	f.VolumesForgotten = 2
	return f
}

func ring() *status.Facts {
	return &status.Facts{Program: "kms", Version: "v0.9.0", Node: "control-1", Started: ago(300 * time.Hour), Ring: &status.Ring{
		Healthy: true, Named: "vault-2026", KeyID: "lanyard.k1.Zm9vYmFy", Worked: ago(6 * time.Second), Next: "aws-2027", NextAt: time.Now().Add(3 * time.Minute),
		Keys: []status.Key{
			{Name: "aws-2027", Service: "arn:aws:kms:eu-central-1:111122223333:key/0b2f", Use: "write", State: status.KeyUnasked},
			{Name: "vault-2026", Service: "transit/keys/kubernetes", Use: "read", State: status.KeyUp, Encrypted: ago(6 * time.Second), Decrypted: ago(6 * time.Second), Calls: 2210},
			{Name: "vault-2024", Service: "transit/keys/kubernetes-2024", Use: "retired", State: status.KeyUnasked},
		},
	}}
}

func ringDown() *status.Facts {
	f := ring()
	f.Ring.Healthy, f.Ring.Stale, f.Ring.Until, f.Ring.Problem = false, true, time.Now().Add(50*time.Minute), "unavailable: key vault-2026 (transit/keys/kubernetes): connection refused"
	f.Ring.Keys[1].State, f.Ring.Keys[1].Since, f.Ring.Keys[1].Failures = status.KeyDown, ago(10*time.Minute), 60
	f.Ring.Keys[1].Error, f.Ring.Keys[1].LastFailure = f.Ring.Problem, ago(time.Second)
	return f
}

func synced() *status.Facts {
	f := provider()
	f.Program, f.Node, f.Volumes, f.Leases = "sync", "lanyard-sync-6c5d8-x2", nil, nil
	f.Synced = []status.Synced{
		{Kind: "SecretProviderClass", Namespace: "shop", Name: "web", State: status.SyncedOK, Since: ago(20 * time.Hour), Worked: ago(20 * time.Second), Secrets: []status.SyncedSecret{{Name: "web-db", Written: ago(3 * time.Hour)}, {Name: "web-tls"}}},
		{Kind: "SecretSync", Namespace: "billing", Name: "invoices", State: status.SyncedFailed, Since: ago(5 * time.Minute), Reason: "SecretNotOwned", Error: "Secret invoices-db: it is somebody else's: it does not have the label lanyard.dev/synced-from", Secrets: []status.SyncedSecret{}},
		{Kind: "SecretSync", Namespace: "billing", Name: "new", State: status.SyncedWaiting, Secrets: []status.SyncedSecret{}},
	}
	return f
}

// Each state is shown in words, and the accessibility checker finds nothing in any of them.
func TestEachState(t *testing.T) {
	for name, test := range map[string]struct {
		facts *status.Facts
		as    look
		says  []string
		first string // row of the first table with problems
	}{
		"provider":       {facts: provider(), says: []string{"all well", "worker-3", "shop/worker-0", "not asked", "5.0 MiB of 64.0 MiB"}},
		"troubled":       {facts: troubled(), says: []string{"3 failing", "3 to look at", "down", "connection refused", "failed", "stale", "behind", "ending", "ended", "permission denied", "2 volumes were left out"}},
		"troubled-dark":  {facts: troubled(), as: look{dark: true}, says: []string{"failed"}},
		"troubled-phone": {facts: troubled(), as: look{width: 390, height: 844}, says: []string{"failed", "permission denied"}},
		"kms-phone":      {facts: ringDown(), as: look{width: 390, height: 844}, says: []string{"down"}},
		"nothing-yet":    {facts: &status.Facts{Program: "serve", Version: "v0.9.0", Started: ago(0), Facts: &engine.Facts{}}, says: []string{"all well", "No pod has mounted a volume", "The configuration names no store", "No value has a lease"}},
		"kms":            {facts: ring(), says: []string{"healthy", "vault-2026", "Next is", "aws-2027", "retired"}},
		"kms-down":       {facts: ringDown(), says: []string{"service down", "that ends", "connection refused"}},
		"kms-down-dark":  {facts: ringDown(), as: look{dark: true}, says: []string{"service down"}},
		"sync":           {facts: synced(), says: []string{"somebody else's", "waiting", "web-db"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, test.facts, test.as)
			text := b.js("document.body.innerText")
			for _, want := range test.says {
				if !strings.Contains(text, want) {
					t.Errorf("the page does not say %q:\n%s", want, text)
				}
			}
			// Nothing sticks out of the window: what is wide scrolls in a place of its own.
			b.want("document.documentElement.scrollWidth <= window.innerWidth", "true")
			b.accessible()
			b.shoot(name)
			b.js(`document.querySelectorAll("details").forEach((d) => { d.open = true; }); true`)
			b.accessible()
			b.want("document.documentElement.scrollWidth <= window.innerWidth", "true")
		})
	}
}

func TestDarkModeIsDark(t *testing.T) {
	const light = `getComputedStyle(document.body).backgroundColor`
	open(t, provider(), look{}).want(light, "rgb(255, 255, 255)")
	open(t, provider(), look{dark: true}).want(light, "rgb(15, 19, 24)")
}

const (
	visible = `Array.from(document.querySelectorAll("#volumes > tr")).filter((r) => r.offsetParent).map((r) => r.cells[1].innerText).join(" ")`
	focused = `(document.activeElement.id || document.activeElement.tagName)`
)

func TestTheFilter(t *testing.T) {
	b := open(t, troubled(), look{})
	// The worst comes first.
	b.want(visible, "shop/worker-0 shop/web-7d9f4c6b5-2xkqp shop/web-7d9f4c6b5-9hv4m billing/invoices-5b8c9-zl2tt")
	b.do(chromedp.SendKeys(chromedp.ID("filter"), "INVOICES"))
	b.want(visible, "billing/invoices-5b8c9-zl2tt")
	if shown := b.js(`document.getElementById("shown").textContent`); !strings.Contains(shown, "of") {
		t.Errorf("it says %q of what it shows", shown)
	}
	b.do(chromedp.KeyEvent(kb.Escape))
	b.want(`document.getElementById("filter").value`, "")
	b.do(chromedp.Click(chromedp.ID("problems")))
	b.want(visible, "shop/worker-0 shop/web-7d9f4c6b5-2xkqp shop/web-7d9f4c6b5-9hv4m")
	b.accessible()
}

func TestTheKeyboardReachesEverything(t *testing.T) {
	b := open(t, troubled(), look{})
	b.do(chromedp.KeyEvent("/"))
	b.want(focused, "filter")
	b.do(chromedp.KeyEvent("worker"))
	b.want(visible, "shop/worker-0")
	b.do(chromedp.KeyEvent(kb.Tab))
	b.want(focused, "problems")
	b.do(chromedp.KeyEvent(" "))
	b.want(`document.getElementById("problems").checked`, "true")
	// The focus is seen.
	b.want(`getComputedStyle(document.activeElement).outlineStyle`, "solid")
	// On through the tables to what a volume holds, and in.
	for range 20 {
		if b.js(focused) == "SUMMARY" {
			break
		}
		b.do(chromedp.KeyEvent(kb.Tab))
	}
	b.want(focused, "SUMMARY")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.want(`document.activeElement.parentNode.open`, "true")
	b.want(`document.activeElement.closest("tr").innerText.includes("app.properties")`, "true")
}

// The page follows the process without a reload: rows change, come, go and move, and what
// the reader has opened stays so.
func TestThePageIsLive(t *testing.T) {
	facts := provider()
	b := open(t, facts, look{})
	b.js(`(() => { const d = document.querySelectorAll("#volumes details")[3]; d.open = true; d.firstElementChild.focus(); return true; })()`)
	opened := b.js(`document.activeElement.closest("tr").cells[1].innerText`)

	changed := provider()
	changed.Started = facts.Started
	for i := range changed.Volumes {
		v := &changed.Volumes[i]
		if v.Namespace+"/"+v.Pod == opened {
			v.State, v.Error, v.Since = engine.VolumeFailed, "vault: <b>permission denied</b>", ago(time.Second)
		}
	}
	var kept []engine.VolumeFacts
	for _, v := range changed.Volumes {
		if v.Class != "invoices" {
			kept = append(kept, v)
		}
	}
	kept = append(kept, engine.VolumeFacts{Namespace: "new", Pod: "fresh-0", PodUID: "f", Class: "fresh", Dialect: "lanyard", Polled: ago(0), State: engine.VolumeOK})
	changed.Volumes = kept
	b.facts.Store(changed)
	b.until("change", `document.querySelector("#volumes > tr").innerText.includes("permission denied")`)
	b.want(`document.querySelector("#volumes > tr").cells[1].innerText`, opened)
	b.want(`document.querySelector("#volumes > tr details").open`, "true")
	b.want(focused, "SUMMARY")
	b.want(`document.querySelector("#volumes > tr b") === null`, "true")
	b.want(`document.getElementById("volumes").innerText.includes("invoices")`, "false")
	b.want(`document.getElementById("volumes").innerText.includes("new/fresh-0")`, "true")
	b.want(`document.getElementById("summary").innerText.includes("1 failing")`, "true")
	b.accessible()
}

// A full node's page works: 250 pods of 20 objects.
func TestAFullNode(t *testing.T) {
	f := provider()
	f.Volumes = nil
	for i := range 250 {
		v := engine.VolumeFacts{Namespace: fmt.Sprint("team-", i%25), Pod: fmt.Sprint("pod-", i), PodUID: fmt.Sprint(i), ServiceAccount: "web", Class: "web", Dialect: "lanyard", Polled: ago(time.Minute), State: engine.VolumeOK}
		for j := range 20 {
			v.Objects = append(v.Objects, engine.ObjectFacts{Object: fmt.Sprint("file-", j), Version: "55b34640-64e11353826629e2", Store: "vault", Source: engine.FromCache, Read: ago(time.Minute), Due: ago(0)})
		}
		f.Volumes = append(f.Volumes, v)
	}
	b := open(t, f, look{})
	b.want(`document.querySelectorAll("#volumes > tr").length`, "250")
	b.do(chromedp.SendKeys(chromedp.ID("filter"), "team-7/"))
	b.want(`document.getElementById("shown").textContent.startsWith("11 of")`, "true")
}

// Without a script the tables are there, with times that need none.
func TestWithoutAScript(t *testing.T) {
	b := open(t, troubled(), look{noScript: true})
	b.do(chromedp.WaitNotVisible(chromedp.ID("filters")), chromedp.WaitVisible(chromedp.ID("volumes")))
	text := get(b, chromedp.Text(chromedp.CSS("body")))
	for _, want := range []string{"3 failing", "shop/worker-0", "permission denied", time.Now().UTC().Format("2006-01-")} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, " ago") {
		t.Error("a script ran")
	}
	// What a volume holds opens without one.
	b.do(chromedp.Click(chromedp.CSS("#volumes summary")), chromedp.WaitVisible(chromedp.CSS("#volumes details table")))
	b.shoot("no-script")
}
