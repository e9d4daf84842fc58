package mount

import (
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
	"github.com/lanyardhq/lanyard/integration/lanyardserver"
)

// agent starts a lanyard agent that stays, in the pod.
func (n *node) agent(t *testing.T, s setup, p pod, c class, flags ...string) *lanyardserver.Server {
	t.Helper()
	runs := newAgentRuns(t, "", nil)
	args, err := runs.inputsOf(p, p.attributes(c))
	if err != nil {
		t.Fatal(err)
	}
	return lanyardserver.New(t, lanyardserver.Options{Binary: binary, Config: n.config(s), Agent: true, Flags: append(args, flags...)})
}

// file is what a file of the volume holds that is written meanwhile; empty while it is not
// there.
func (p pod) file(path string) string {
	text, err := os.ReadFile(filepath.Join(p.volume, path))
	if err != nil {
		return ""
	}
	return string(text)
}

// page is what the agent's listener answers.
func page(t *testing.T, of *lanyardserver.Server, path string) string {
	t.Helper()
	resp, err := http.Get(of.Admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var text strings.Builder
	if err := resp.Write(&text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// application is a process that is told of changes in each way.
type application struct {
	posts   atomic.Int64
	url     string
	signals string // a file with a line for each signal
	runs    string // a file with a line for each command
	process string
}

func newApplication(t *testing.T) *application {
	t.Helper()
	dir := t.TempDir()
	a := &application{signals: filepath.Join(dir, "signals"), runs: filepath.Join(dir, "runs"), process: fmt.Sprintf("app-%s", randomHex()[:8])}
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { a.posts.Add(1) }))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a.url = "http://localhost:" + port + "/reload"
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(shell, filepath.Join(dir, a.process)); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(filepath.Join(dir, a.process), "-c", `trap 'echo told >> "$0"' USR1; : > "$0"; while :; do sleep 0.05; done`, a.signals)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	waitFor(t, "the application to start", func() bool { _, err := os.Stat(a.signals); return err == nil })
	return a
}

func (a *application) flags() []string {
	return []string{
		"--notify-signal", "USR1", "--notify-process", a.process, "--notify-url", a.url,
		"--notify-command", `/bin/sh -c 'echo run >> "$0"; echo said-by-the-command' ` + a.runs,
	}
}

// told is how often the application was told in each way.
func (a *application) told(t *testing.T) [3]int {
	t.Helper()
	lines := func(path string) int {
		text, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return strings.Count(string(text), "\n")
	}
	return [3]int{lines(a.signals), lines(a.runs), int(a.posts.Load())}
}

// A change at Vault reaches the file and then the application, once in each way. A Vault
// that is down takes nothing away, is told of, and is followed again when it is back; so
// is a killed agent.
func TestTheAgentFollowsVaultAndTellsTheApplication(t *testing.T) {
	t.Parallel()
	s := quick()
	n := newNode(t, s)
	n.put(t, "web/db", map[string]any{"value": "planted one"})
	web, app := n.pod(t, "shop", "web"), newApplication(t)
	objects := asWeb("[{path: db/password, store: vault, key: secret/data/web/db, property: value}]")
	agent := n.agent(t, s, web, objects, app.flags()...)
	holds := func(want string) func() bool {
		return func() bool { return web.file("db/password") == want }
	}
	if !holds("planted one")() {
		t.Fatalf("it is ready, and the file holds %q", web.holds(t))
	}
	if ready := exec.Command(binary, "agent", "--ready", "--target", web.volume); ready.Run() != nil {
		t.Error("agent --ready fails")
	}
	changed := func(value string, times int) {
		t.Helper()
		n.put(t, "web/db", map[string]any{"value": value})
		waitFor(t, "the new value", holds(value))
		want := [3]int{times, times, times}
		waitFor(t, "the application to be told", func() bool { return app.told(t) == want })
	}
	changed("planted two", 1)
	changed("planted three", 2)

	remove := n.proxy.Add(faultproxy.Fault{Refuse: true})
	waitFor(t, "the outage to be told", func() bool { return strings.Contains(page(t, agent, "/readyz"), "not fresh") })
	if text := page(t, agent, "/readyz"); !strings.HasPrefix(text, "HTTP/1.1 200 OK") || !holds("planted three")() {
		t.Errorf("an outage took something away: %s, %q", text, web.holds(t))
	}
	if text := page(t, agent, "/metrics"); !strings.Contains(text, "lanyard_agent_fresh 0") {
		t.Error("the metrics do not tell of the outage")
	}
	agent.Kill()
	if !holds("planted three")() {
		t.Errorf("a killed agent took files away: %q", web.holds(t))
	}
	// It has nothing that stands in now, but for the files.
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the failure to be told", func() bool { return strings.Contains(page(t, agent, "/readyz"), "cannot be reached") })
	remove()
	changed("planted four", 3)
	waitFor(t, "the outage to be over", func() bool { return strings.Contains(page(t, agent, "/metrics"), "lanyard_agent_fresh 1") })
	if said := strings.Count(agent.Output(), "stay as they are; it is tried again"); said != 1 {
		t.Errorf("the log tells of one outage %d times", said)
	}
	if strings.Contains(agent.Output(), "said-by-the-command") {
		t.Error("the log has what the command printed")
	}
	for place, text := range map[string]string{"the log": agent.Output(), "/metrics": page(t, agent, "/metrics"), "/readyz": page(t, agent, "/readyz")} {
		if strings.Contains(text, "planted") || strings.Contains(text, web.tokens["vault"].Token) {
			t.Errorf("%s shows a secret", place)
		}
	}
	if err := agent.Terminate(); err != nil {
		t.Fatal(err)
	}
	if code, err := agent.Wait(); code != 0 || err != nil {
		t.Errorf("after SIGTERM it ended with code %d, %v", code, err)
	}
	if got := app.told(t); got != [3]int{3, 3, 3} {
		t.Errorf("in the end the application was told %v times", got)
	}
}

// A projected token says who the pod is; one that is renewed is used from then on.
func TestTheAgentReadsTokensAnew(t *testing.T) {
	t.Parallel()
	s := quick()
	n := newNode(t, s)
	web := n.pod(t, "shop", "web")
	n.put(t, web.own("db"), map[string]any{"value": "own"})
	web.tokens["vault"] = n.token(t, web, "vault", time.Now().Add(-time.Minute))
	objects := asRole("all", "[{path: file, store: vault, key: 'secret/data/"+web.own("db")+"', property: value}]")
	runs := newAgentRuns(t, n.config(s), nil)
	args, err := runs.inputsOf(web, web.attributes(objects))
	if err != nil {
		t.Fatal(err)
	}
	run := exec.Command(binary, append([]string{"agent", "--config", runs.config}, args...)...)
	run.Stderr = &runs.output
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = run.Process.Kill(); _ = run.Wait() }()
	waitFor(t, "the old token to be refused", func() bool { return strings.Contains(runs.output.String(), "its file is not renewed") })
	file := strings.TrimPrefix(args[slices.Index(args, "--token")+1], "vault=")
	next := n.token(t, web, "vault", time.Now().Add(time.Hour))
	if err := os.WriteFile(file+".next", []byte(next.Token), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".next", file); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the files", func() bool { return web.file("file") == "own" })
}

// Leases are left to run out, or end with the agent: Vault ends them with the login.
func TestTheAgentRevokesLeasesWhereAsked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		flags []string
		want  int
	}{
		"left":    {nil, 0},
		"revoked": {[]string{"--revoke"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := quick()
			n := newNode(t, s)
			n.vault.Must(t, http.MethodPost, "sys/policies/acl/web", map[string]any{"policy": `path "database/creds/web" { capabilities = ["read"] }`})
			n.proxy.Add(faultproxy.Fault{Prefix: "database/creds/web", Times: 1, Status: 200, Body: `{"request_id":"1","lease_id":"database/creds/web/1",
				"lease_duration":3600,"renewable":true,"data":{"username":"user"}}`})
			web := n.pod(t, "shop", "web")
			agent := n.agent(t, s, web, asWeb("[{path: user, store: vault, key: database/creds/web, property: username}]"), c.flags...)
			if err := agent.Terminate(); err != nil {
				t.Fatal(err)
			}
			if code, err := agent.Wait(); code != 0 || err != nil {
				t.Errorf("code %d, %v", code, err)
			}
			if got := n.proxy.Count("", "auth/token/revoke-self"); got != c.want {
				t.Errorf("%d logins are revoked, want %d", got, c.want)
			}
			if web.holds(t)["user"] != "user" {
				t.Error("the files are gone")
			}
		})
	}
}

// What is secret leaves the agent by the volume and the environment file alone, whatever
// fails.
func TestNothingSecretLeavesTheAgent(t *testing.T) {
	t.Parallel()
	s := quick()
	s.cache, s.bounds, s.vault, s.agent = "refresh: 1s, staleOnError: 0s", "readTimeout: 2s", "timeout: 1s", true
	s.more = "policy: {classStores: ['*', 127.0.0.0/8]}"
	s.flags = []string{"-v=10"}
	p := &planted{node: newNode(t, s), markers: markers{}, nonce: randomHex(), began: time.Now()}
	web := p.prepare(t)
	p.succeed(t, web)
	p.failInClasses(t, web)
	p.failInSealedValues(t, web)
	p.failInVault(t, web)
	p.plantVaultTokens(t)
	look := func(place, text string) {
		for _, what := range p.markers.find(text) {
			t.Errorf("%s shows the %s", place, what)
		}
		if strings.Contains(text, "planted") || strings.Contains(text, p.nonce) {
			t.Errorf("%s shows part of a secret: %.300s", place, text)
		}
	}
	if len(p.errors) < 80 {
		t.Errorf("only %d mounts failed", len(p.errors))
	}
	for _, text := range p.errors {
		look("an error: "+text[:min(len(text), 200)], text)
	}
	look("the output", p.once.output.String())
	err := filepath.WalkDir(p.once.root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			t.Errorf("the agent left the file %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// Templates of Vault Agent become files beside those of the class, and each runs its
// command when its own file is made anew.
func TestTheAgentRendersTemplatesOfVaultAgent(t *testing.T) {
	t.Parallel()
	s := quick()
	s.auth = "method: jwt, role: web"
	n := newNode(t, s)
	n.put(t, "web/db", map[string]any{"user": "app", "password": "one"})
	n.put(t, "web/other", map[string]any{"value": "x"})
	web := n.pod(t, "shop", "web")
	runs := newAgentRuns(t, "", nil)
	ran := filepath.Join(t.TempDir(), "ran")
	templates := runs.input(t, "templates.yaml", mustJSON([]map[string]string{
		{"path": "db/url", "mode": "0400", "command": "/bin/cat " + filepath.Join(web.volume, "db/url") + " >> " + ran,
			"template": "{{ with secret \"secret/data/web/db\" -}}\npostgres://{{ .Data.data.user }}:{{ .Data.data.password }}@db\n{{ end }}"},
		{"path": "other", "secret": "/secret/data/web/other"},
	}))
	agent := n.agent(t, s, web, class{"objects": "[{path: user, store: vault, key: secret/data/web/db, property: user}]"}, "--templates", templates)
	if got := web.holds(t); got["db/url"] != "postgres://app:one@db\n" || !strings.HasPrefix(got["other"], "data: map[value:x]\nmetadata: map[") || got["user"] != "app" || len(got) != 3 {
		t.Errorf("the volume holds %q", got)
	}
	if mode := web.modes(t)["db/url"]; mode != 0o400 {
		t.Errorf("mode %o", mode)
	}
	wrote := func(want string) func() bool {
		return func() bool { text, _ := os.ReadFile(ran); return string(text) == want }
	}
	waitFor(t, "the command to run at first", wrote("postgres://app:one@db\n"))
	n.put(t, "web/other", map[string]any{"value": "y"})
	waitFor(t, "the other file", func() bool { return strings.HasPrefix(web.file("other"), "data: map[value:y]") })
	n.put(t, "web/db", map[string]any{"user": "app", "password": "two"})
	waitFor(t, "the command to run for the change", wrote("postgres://app:one@db\npostgres://app:two@db\n"))

	n.put(t, "web/db", map[string]any{"user": "app"})
	waitFor(t, "the missing key to be told", func() bool {
		return strings.Contains(page(t, agent, "/readyz"), "template db/url: line 2, column 36: there is no such key")
	})
	if got := web.holds(t)["db/url"]; got != "postgres://app:two@db\n" {
		t.Errorf("the file holds %q", got)
	}
}
