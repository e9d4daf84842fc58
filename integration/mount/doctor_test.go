package mount

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/server/csi"
)

// finding is what lanyard doctor prints with --output json.
type finding struct{ Check, Result, Place, Says, Fix string }

// doctor runs lanyard doctor as an operator would in the provider's pod, with a class and
// the pod's tokens.
func (n *node) doctor(t *testing.T, s setup, p pod, c class, more ...string) []finding {
	t.Helper()
	dir := t.TempDir()
	put := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	args := []string{"doctor", "--output", "json", "--node", "--socket-dir", n.provider.SocketDir, "--config", put("lanyard.yaml", []byte(n.config(s)))}
	for audience, token := range p.tokens {
		args = append(args, "--token", audience+"="+put("token-"+audience, []byte(token.Token)))
	}
	if c != nil {
		args = append(args, put("class.json", []byte(mustJSON(map[string]any{
			"apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass", "metadata": map[string]any{"name": "web", "namespace": p.namespace},
			"spec": map[string]any{"provider": "lanyard", "parameters": c},
		}))))
	}
	run := exec.CommandContext(t.Context(), binary, append(args, more...)...)
	output, err := run.Output()
	var report struct{ Findings []finding }
	if json.Unmarshal(output, &report) != nil || len(report.Findings) == 0 {
		t.Fatalf("%v: %s", err, output)
	}
	return report.Findings
}

// status is what lanyard status shows of the provider, which ends with 3 if something is
// wrong.
func (n *node) status(t *testing.T) string {
	t.Helper()
	run := exec.CommandContext(t.Context(), binary, "status", "--provider-url", n.provider.Admin)
	output, err := run.CombinedOutput()
	if run.ProcessState.ExitCode() != 3 {
		t.Errorf("lanyard status: %v", err)
	}
	return string(output)
}

// brokenSetup is a row of the table of broken set-ups.
type brokenSetup struct{ Name, Check, Says, Log, Status, Page string }

func brokenSetups(t *testing.T) map[string]brokenSetup {
	t.Helper()
	text, err := os.ReadFile("../../cmd/testdata/doctor/setups.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var list []brokenSetup
	if err := yaml.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	setups := map[string]brokenSetup{}
	for _, one := range list {
		setups[one.Name] = one
	}
	return setups
}

// Set-ups that are broken at a real Vault and a real provider: doctor says what is wrong, and
// so do the provider's log at its default verbosity, its page and lanyard status, as the
// table in docs/testing.md has it.
func TestEachBrokenSetupIsTold(t *testing.T) {
	t.Parallel()
	setups := brokenSetups(t)
	const db = "[{path: db, store: vault, key: secret/data/web/db, property: value}]"
	for name, c := range map[string]struct {
		setup  setup
		breaks func(t *testing.T, n *node, p *pod) class
		stays  bool // the provider runs on and its log is looked at, after a mount
	}{
		"vault-unreachable": {breaks: func(_ *testing.T, n *node, _ *pod) class {
			n.proxy.Close()
			return asWeb(db)
		}, stays: true},
		"wrong-role": {breaks: func(*testing.T, *node, *pod) class { return asRole("wrong", db) }, stays: true},
		"expired-token": {breaks: func(t *testing.T, n *node, p *pod) class {
			p.tokens = map[string]token{"vault": n.token(t, *p, "vault", time.Now().Add(-time.Minute))}
			return asWeb(db)
		}, stays: true},
		"policy": {breaks: func(*testing.T, *node, *pod) class {
			return asWeb("[{path: db, store: vault, key: secret/data/denied/db, property: value}]")
		}, stays: true},
		"kv2-without-data": {breaks: func(*testing.T, *node, *pod) class {
			return asWeb("[{path: db, store: vault, key: secret/web/db, property: value}]")
		}, stays: true},
		"ring-foreign": {breaks: func(t *testing.T, _ *node, p *pod) class {
			other, err := seal.NewKeyRing(cluster, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			return class{"objects": fmt.Sprintf("[{path: db, sealed: %s}]", sealTo(t, other.Public(), scopeOf(*p, "db"), "planted"))}
		}, stays: true},
		"file-root-missing": {breaks: func(t *testing.T, n *node, _ *pod) class {
			if err := os.RemoveAll(n.files); err != nil {
				t.Fatal(err)
			}
			return class{"objects": "[{path: db, store: files, key: db}]"}
		}, stays: true},
		"socket-gone": {breaks: func(t *testing.T, n *node, _ *pod) class {
			n.provider.Kill()
			if err := os.RemoveAll(filepath.Join(n.provider.SocketDir, "lanyard.sock")); err != nil {
				t.Fatal(err)
			}
			return asWeb(db)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := setups[name]
			if want.Check == "" {
				t.Fatal("the table has no such set-up")
			}
			s := setup{vault: "retries: 0"}
			n := newNode(t, s)
			n.put(t, "web/db", map[string]any{"value": "planted"})
			p := n.pod(t, "shop", "web")
			broken := c.breaks(t, n, &p)
			found := n.doctor(t, s, p, broken)
			if !slices.ContainsFunc(found, func(f finding) bool {
				says := strings.Contains(f.Says, want.Says) ||
					// Another provider, of a cluster on this machine, may answer where drivers look.
					name == "socket-gone" && strings.Contains(f.Says, "but one does at "+csi.FirstDirectory)
				return f.Result == "FAIL" && f.Check == want.Check && says && f.Fix != ""
			}) {
				t.Errorf("doctor does not say %q:\n%s", want.Says, mustJSON(found))
			}
			if !c.stays {
				return
			}
			if _, err := n.mount(t.Context(), p, broken); err == nil {
				t.Error("the mount succeeds")
			}
			waitFor(t, "a line in the log", func() bool { return strings.Contains(n.provider.Output(), want.Log) })
			n.tells(t, want)
		})
	}
}

// tells fails the test unless lanyard status and the page show the words of the set-up.
func (n *node) tells(t *testing.T, want brokenSetup) {
	t.Helper()
	if shown := n.status(t); want.Status == "" || !strings.Contains(shown, want.Status) {
		t.Errorf("lanyard status does not show %q:\n%s", want.Status, shown)
	}
	if shown := html.UnescapeString(n.page(t, "/")); want.Page == "" || !strings.Contains(shown, want.Page) {
		t.Errorf("the page does not show %q", want.Page)
	}
}

// What doctor finds in a cluster, or on the way to a store, status and the page tell of the
// mount that failed for it.
func TestStatusTellsBrokenSetups(t *testing.T) {
	t.Parallel()
	setups := brokenSetups(t)
	distrusted := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(distrusted.Close)
	n := newNode(t, setup{vault: "retries: 0\n  nowhere: {type: vault, address: 'https://vault.invalid:8200', auth: {method: jwt, role: web}, retries: 0}" +
		"\n  distrusted: {type: vault, address: '" + distrusted.URL + "', auth: {method: jwt, role: web}, retries: 0}"})
	for name, c := range map[string]class{
		"dns":               {"objects": "[{path: db, store: nowhere, key: secret/data/web/db, property: value}]"},
		"wrong-ca":          {"objects": "[{path: db, store: distrusted, key: secret/data/web/db, property: value}]"},
		"class-wrong":       asWeb("[{path: db, store: vault, key: secret/data/web/db, prop: value}]"),
		"no-token-requests": asWeb("[{path: db, store: vault, key: secret/data/web/db, property: value}]"),
		// The machine that the tokens come from is two hours ahead of Vault's.
		"clock": asWeb("[{path: db, store: vault, key: secret/data/web/db, property: value}]"),
	} {
		p := n.pod(t, "shop", "web")
		switch ahead := time.Now().Add(2 * time.Hour); name {
		case "no-token-requests":
			p.tokens = nil
		case "clock":
			p.tokens = map[string]token{"vault": n.tokenOf(t, p, "vault", ahead, ahead.Add(time.Hour))}
		}
		if _, err := n.mount(t.Context(), p, c); err == nil {
			t.Errorf("%s: the mount succeeds", name)
		}
	}
	for _, name := range []string{"dns", "wrong-ca", "class-wrong", "no-token-requests", "clock"} {
		n.tells(t, setups[name])
	}
	if err := n.provider.Configure(n.config(setup{cache: "refresh: soon"})); err != nil {
		t.Fatal(err)
	}
	wrong := setups["chart-value-wrong"]
	waitFor(t, "a line in the log", func() bool { return strings.Contains(n.provider.Output(), wrong.Log) })
	n.tells(t, wrong)
}

// Where all is well, doctor fails nothing, reads what the pod may read, and says that a
// role without a bound audience takes any token.
func TestDoctorAtARealVault(t *testing.T) {
	t.Parallel()
	s := setup{vault: "retries: 0"}
	n := newNode(t, s)
	n.put(t, "web/db", map[string]any{"value": "planted"})
	p := n.pod(t, "shop", "web")
	c := asWeb("[{path: db, store: vault, key: secret/data/web/db, property: value}]")
	if err := os.WriteFile(filepath.Join(n.files, "a"), []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	says := func(found []finding, check, result, text string) {
		t.Helper()
		if !slices.ContainsFunc(found, func(f finding) bool {
			return f.Check == check && f.Result == result && strings.Contains(f.Says, text)
		}) {
			t.Errorf("%s %s does not say %q:\n%s", result, check, text, mustJSON(found))
		}
	}
	found := n.doctor(t, s, p, c)
	for _, f := range found {
		if f.Result == "FAIL" || strings.Contains(f.Says, "planted") {
			t.Errorf("%+v", f)
		}
	}
	for check, text := range map[string]string{"login": "service account shop/web is let in", "reads": "all 1 object can be read", "health": "it works", "clock": "agree", "sockets": "a provider answers"} {
		says(found, check, "ok", text)
	}
	// The policy web does not let its holder read the role, and a token of another audience
	// is refused.
	says(found, "audience", "unknown", "may not read its own role")
	other := p
	other.tokens = map[string]token{"vault": p.tokens["vault"], "lanyard-doctor.invalid": n.token(t, p, "lanyard-doctor.invalid", time.Now().Add(time.Hour))}
	says(n.doctor(t, s, other, c), "audience", "ok", "its own audience alone")
	n.vault.Must(t, "POST", "auth/jwt/role/web", map[string]any{
		"role_type": "jwt", "user_claim": "sub", "bound_audiences": []string{"vault", "lanyard-doctor.invalid"}, "bound_claims": map[string]any{"sub": "system:serviceaccount:shop:web"}, "token_policies": []string{"web"}, "token_ttl": "1h",
	})
	says(n.doctor(t, s, other, c), "audience", "warn", "takes tokens of any audience")

	if err := n.vault.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	says(n.doctor(t, s, p, c), "health", "FAIL", "Vault is sealed")
	if err := n.vault.Unseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	remove := n.proxy.Add(faultproxy.Fault{Refuse: true})
	defer remove()
	says(n.doctor(t, s, p, c), "connection", "ok", "is reached")
}
