// Package page looks at the status page with a real browser: each state, the filter, the
// keyboard, dark mode, a narrow screen, no script, and what an accessibility checker finds.
// It has no code of its own beside its tests, and is a module of its own for their libraries.
package page

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/server/admin"
	"github.com/lanyardhq/lanyard/server/status"
)

// patience is how long a browser may take on a machine that has much to do.
const patience = 2 * time.Minute

// browser is the one that all tests use.
var browser chromium

// chromium is a browser that runs until end.
type chromium struct {
	ctx context.Context
	end func()
}

func startChromium() (chromium, error) {
	flags := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, // it shows only what the tests serve
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.WSURLReadTimeout(patience))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), flags...)
	ctx, end := chromedp.NewContext(allocator)
	started := chromium{ctx, func() { end(); stop() }}
	return started, chromedp.Do(ctx)
}

func TestMain(m *testing.M) {
	var err error
	if browser, err = startChromium(); err != nil {
		fmt.Fprintf(os.Stderr, "the browser does not start (Debian's package chromium, which .ci/prepare installs): %v\n", err)
		os.Exit(1)
	}
	code := m.Run()
	browser.end()
	os.Exit(code)
}

// tab is a tab of the browser with the page of one process.
type tab struct {
	*testing.T
	ctx     context.Context
	facts   atomic.Pointer[status.Facts]
	address string

	mu       sync.Mutex
	requests []string
	problems []string // what the browser itself has to say, such as of the page's policy
}

// look is how a tab shows the page.
type look struct {
	width, height int64 // 1100 x 720 if zero
	dark          bool
	noScript      bool
}

// open opens the page of a process with these facts.
func open(t *testing.T, facts *status.Facts, as look) *tab {
	t.Helper()
	b := &tab{T: t}
	b.facts.Store(facts)
	server := admin.New(admin.Options{
		Registry: prometheus.NewRegistry(), Ready: func(context.Context) error { return nil },
		Status: status.Options{Collect: func() *status.Facts {
			now := *b.facts.Load()
			now.Made = time.Now()
			return &now
		}},
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		// The browser keeps connections in store, for which Stop would wait.
		ended, end := context.WithCancel(context.Background())
		end()
		server.Stop(ended)
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	b.address = "http://" + listener.Addr().String() + "/"

	ctx, cancel := chromedp.NewContext(browser.ctx)
	t.Cleanup(cancel)
	b.ctx, cancel = context.WithTimeout(ctx, patience)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil { // opens the tab, whose life has no end of its own
		t.Fatal(err)
	}
	err = chromedp.Listen(b.ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			b.requests = append(b.requests, e.Request.URL)
		case *log.EventEntryAdded:
			b.problems = append(b.problems, e.Entry.Text)
		case *cdpruntime.EventExceptionThrown:
			b.problems = append(b.problems, e.ExceptionDetails.Text)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if as.width == 0 {
		as.width, as.height = 1100, 720
	}
	scheme := "light"
	if as.dark {
		scheme = "dark"
	}
	call(b, network.Enable, network.EnableParams{})
	call(b, log.Enable, cdp.Empty{})
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: as.noScript})
	b.do(chromedp.EmulateViewport(as.width, as.height), chromedp.Navigate(b.address), chromedp.WaitVisible(chromedp.ID("summary")))
	if !as.noScript {
		b.until("live updates", `document.getElementById("live").textContent === "live"`)
	}
	t.Cleanup(b.check)
	return b
}

// check holds for every tab: nothing came from elsewhere, and the browser refused nothing.
func (b *tab) check() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, url := range b.requests {
		if !strings.HasPrefix(url, b.address) && !strings.HasPrefix(url, "data:") {
			b.Errorf("the page asked for %s", url)
		}
	}
	for _, problem := range b.problems {
		b.Errorf("the browser says: %s", problem)
	}
}

// do does steps in the tab.
func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.Fatal(err)
	}
}

// get is what an action finds in the tab.
func get[T any](b *tab, action chromedp.Action[T]) T {
	b.Helper()
	found, err := chromedp.Run(b.ctx, action)
	if err != nil {
		b.Fatal(err)
	}
	return found
}

// call sends a command of the browser's own protocol.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) {
	b.Helper()
	if _, err := chromedp.Call(b.ctx, command, params); err != nil {
		b.Fatal(err)
	}
}

// js is what an expression of the page is, as text.
func (b *tab) js(expression string) string {
	b.Helper()
	return fmt.Sprint(get(b, chromedp.Evaluate[any](expression)))
}

// until waits for an expression of the page to be true.
func (b *tab) until(what, expression string) {
	b.Helper()
	for end := time.Now().Add(patience / 2); b.js(expression) != "true"; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("no %s: %s is not true", what, expression)
		}
	}
}

func (b *tab) want(expression, want string) {
	b.Helper()
	if got := b.js(expression); got != want {
		b.Errorf("%s is %q, want %q", expression, got, want)
	}
}

// shoot writes a picture of the page for the documentation, if asked for, and holds the
// documentation to have it.
func (b *tab) shoot(name string) {
	b.Helper()
	file := filepath.Join("..", "..", "docs", "status", name+".png")
	if os.Getenv("LANYARD_SCREENSHOTS") != "" {
		picture := get(b, chromedp.CaptureScreenshot())
		if err := os.WriteFile(file, picture, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Size() > 200<<10 {
		b.Errorf("%s is missing or larger than 200 KiB; make screenshots makes it: %v", file, err)
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "status-page.md"))
	if err != nil || !strings.Contains(string(page), "(status/"+name+".png)") {
		b.Errorf("docs/status-page.md does not show status/%s.png: %v", name, err)
	}
}

// axe is the accessibility checker, which npm brings once for each version.
var axe = sync.OnceValues(func() (string, error) {
	digest := sha256.New()
	for _, name := range []string{"package.json", "package-lock.json"} {
		content, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		digest.Write(content)
	}
	cache := os.Getenv("LANYARD_CACHE")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(home, ".cache", "lanyard")
	}
	kept := filepath.Join(cache, "page-"+hex.EncodeToString(digest.Sum(nil)[:8]))
	script := filepath.Join(kept, "node_modules", "axe-core", "axe.min.js")
	if _, err := os.Stat(script); err != nil {
		if err := os.MkdirAll(cache, 0o755); err != nil {
			return "", err
		}
		fresh, err := os.MkdirTemp(cache, "page-new-")
		if err != nil {
			return "", err
		}
		defer os.RemoveAll(fresh)
		for _, name := range []string{"package.json", "package-lock.json"} {
			content, err := os.ReadFile(name)
			if err != nil {
				return "", err
			}
			if err := os.WriteFile(filepath.Join(fresh, name), content, 0o600); err != nil {
				return "", err
			}
		}
		npm := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
		npm.Dir = fresh
		if output, err := npm.CombinedOutput(); err != nil {
			return "", fmt.Errorf("npm ci: %w\n%s", err, output)
		}
		// Another test run may have been faster.
		if err := os.Rename(fresh, kept); err != nil && !os.IsExist(err) {
			return "", err
		}
	}
	content, err := os.ReadFile(script)
	return string(content), err
})

// accessible has the checker look at the page as it is now. Of what lies outside of its
// place until that is scrolled, it cannot tell the colours, which are those of the rest.
func (b *tab) accessible() {
	b.Helper()
	checker, err := axe()
	if err != nil {
		b.Fatal(err)
	}
	b.js(checker + "; true")
	found := get(b, chromedp.Evaluate[string](`axe.run({resultTypes: ["violations", "incomplete"]}).then((r) => JSON.stringify({
		passes: r.passes.length,
		violations: r.violations.map((v) => [v.id, v.help, v.nodes.map((n) => n.html.slice(0, 200) + " " + n.failureSummary)]),
		incomplete: r.incomplete.map((v) => [v.id, v.nodes.map((n) => n.html.slice(0, 200) + " " + n.failureSummary)
			.filter((text) => !text.includes("partially obscured"))]).filter((v) => v[1].length > 0),
	}))`, chromedp.EvalAwaitPromise))
	if !strings.Contains(found, `"violations":[]`) || !strings.Contains(found, `"incomplete":[]`) || strings.Contains(found, `"passes":0`) {
		b.Errorf("the accessibility checker finds: %s", found)
	}
}
