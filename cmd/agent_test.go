package cmd

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/server/inject"
)

func TestAgentWritesOnceAndSaysThatItIsReady(t *testing.T) {
	dir, class, config := mountFixture(t)
	target, env := filepath.Join(dir, "volume"), filepath.Join(dir, "env")
	if code, _, stderr := runLanyard("agent", "--ready", "--target", target); code != exitFailed || !strings.Contains(stderr, "has no files yet") {
		t.Errorf("exit code %d before there are files: %s", code, stderr)
	}
	code, stdout, stderr := runLanyard("agent", "--once", "--class-file", class, "--config", config, "--target", target, "--env-file", env)
	if code != exitOK || stdout != "" || strings.Contains(stderr, "planted") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
	for path, want := range map[string]string{target + "/note": "licence=planted-one", env: "LICENCE='planted-one'\nNOTE='licence=planted-one'\n"} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v", path, got, err)
		}
	}
	if code, _, stderr := runLanyard("agent", "--ready", "--target", target); code != exitOK {
		t.Errorf("exit code %d with files: %s", code, stderr)
	}
	if err := os.Remove(dir + "/agent/licence"); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := runLanyard("agent", "--once", "--class-file", class, "--config", config, "--target", target); code != exitFailed || !strings.Contains(stderr, "licence") {
		t.Errorf("exit code %d where a value is missing: %s", code, stderr)
	}
}

func TestAgentRefuses(t *testing.T) {
	dir, class, config := mountFixture(t)
	with := func(args ...string) []string {
		return append([]string{"agent", "--class-file", class, "--config", config, "--target", dir + "/volume"}, args...)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no target":               {[]string{"agent", "--class-file", class}, exitUsage, "--target"},
		"no class":                {[]string{"agent", "--target", dir + "/volume"}, exitUsage, "--class-file"},
		"ready of nothing":        {[]string{"agent", "--ready"}, exitUsage, "--ready needs"},
		"an argument":             {with("x"), exitUsage, "no arguments"},
		"other files":             {[]string{"agent", "--class-file", class, "--target", dir}, exitUsage, "did not write"},
		"a class that is not":     {[]string{"agent", "--once", "--class-file", dir + "/none", "--target", dir + "/volume"}, exitUsage, "no such file"},
		"a store without a name":  {[]string{"agent", "--once", "--class-file", class, "--target", dir + "/volume"}, exitFailed, "without --config"},
		"once and told":           {with("--once", "--notify-url", "http://localhost:1"), exitUsage, "for an agent that stays"},
		"once and served":         {with("--once", "--address", ":1"), exitUsage, "for an agent that stays"},
		"a signal to nobody":      {with("--notify-signal", "HUP"), exitUsage, "give both or neither"},
		"a process without one":   {with("--notify-process", "nginx"), exitUsage, "give both or neither"},
		"a signal that is none":   {with("--notify-signal", "KILL", "--notify-process", "x"), exitUsage, "must be one of HUP"},
		"a command that is none":  {with("--notify-command", "'a"), exitUsage, "--notify-command: a quote"},
		"another host's URL":      {with("--notify-url", "https://localhost/"), exitUsage, "--notify-url: must be"},
		"an address that is none": {with("--address", "9879"), exitUsage, "host:port"},
		"variables in the target": {with("--env-file", dir+"/volume/env"), exitUsage, "must not lie in --target"},
		"a token that is not":     {with("--once", "--token", "vault="+dir+"/none"), exitUsage, "--token"},
		"no time to end":          {with("--shutdown-timeout", "-1s"), exitUsage, "negative"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := runLanyard(c.args...)
			if code != c.code || !strings.Contains(stderr, c.want) {
				t.Errorf("exit code %d, %q; want %d and %q", code, stderr, c.code, c.want)
			}
		})
	}
}

// A changed class holds without a restart, and SIGTERM, which ends the context, ends it well.
func TestAgentFollowsItsClass(t *testing.T) {
	dir, class, config := mountFixture(t)
	target := filepath.Join(dir, "volume")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	root := newRoot()
	var stderr lockedBuffer
	root.SetArgs([]string{"agent", "--class-file", class, "--config", config, "--target", target})
	root.SetOut(&stderr)
	root.SetErr(&stderr)
	done := make(chan error, 1)
	go func() { done <- root.ExecuteContext(ctx) }()
	holds := func(file, want string) func() bool {
		return func() bool {
			data, err := os.ReadFile(filepath.Join(target, file))
			return err == nil && string(data) == want
		}
	}
	until(t, holds("note", "licence=planted-one"))
	if err := os.WriteFile(class+".next", []byte(strings.Replace(mountClass, "licence={{", "new={{", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(class+".next", class); err != nil {
		t.Fatal(err)
	}
	until(t, holds("note", "new=planted-one"))
	cancel()
	if err := <-done; err != nil {
		t.Errorf("it ended with %v", err)
	}
	if strings.Contains(stderr.String(), "planted") {
		t.Error("the log has a value")
	}
}

// The example runs under the restricted standard of pods, and asks for what the agent
// takes.
// https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
func TestTheAgentsPodIsWhole(t *testing.T) {
	data, err := os.ReadFile("../deployment/agent/pod.yaml")
	if err != nil {
		t.Fatal(err)
	}
	documents := bytes.Split(data, []byte("\n---\n"))
	var class core.ConfigMap
	var pod core.Pod
	for i, into := range []any{&class, &pod} {
		if err := yaml.UnmarshalStrict(documents[i], into); err != nil {
			t.Fatal(err)
		}
	}
	agent := pod.Spec.InitContainers[0]
	if agent.RestartPolicy == nil || *agent.RestartPolicy != core.ContainerRestartPolicyAlways || agent.StartupProbe == nil {
		t.Error("the agent is no sidecar with a startup probe")
	}
	for _, args := range [][]string{agent.Args, agent.StartupProbe.Exec.Command[1:]} {
		c, flags, err := newRoot().Find(args)
		if err != nil || c.Name() != "agent" {
			t.Fatalf("%v: %v", args, err)
		}
		if err := c.ParseFlags(flags); err != nil {
			t.Errorf("%v: %v", args, err)
		}
	}
	if injected := inject.DefaultResources(); !equality.Semantic.DeepEqual(agent.Resources, injected) {
		t.Errorf("its resources are %v; those of injected agents are %v", agent.Resources, injected)
	}
	security := pod.Spec.SecurityContext
	if !*security.RunAsNonRoot || *security.RunAsUser == 0 || security.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
		t.Errorf("the pod may do more than it needs: %+v", security)
	}
	for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if s := container.SecurityContext; *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 {
			t.Errorf("%s may do more than it needs: %+v", container.Name, s)
		}
	}
	path := filepath.Join(t.TempDir(), "web.yaml")
	if err := os.WriteFile(path, []byte(class.Data["web.yaml"]), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := runLanyard("check", path); code != exitOK {
		t.Errorf("its class cannot be used: %s%s", stdout, stderr)
	}
}

func TestTheAgentsUnitIsWhole(t *testing.T) {
	settings := readUnit(t, "../deployment/agent/lanyard-agent.service")
	for _, setting := range []string{"ExecStartPre", "ExecStart"} {
		call := strings.Fields(settings[setting])
		c, flags, err := newRoot().Find(call[1:])
		if call[0] != "/usr/local/bin/lanyard" || err != nil || c.Name() != "agent" {
			t.Fatalf("%s=%s: %v", setting, settings[setting], err)
		}
		if err := c.ParseFlags(flags); err != nil {
			t.Errorf("%s: %v", setting, err)
		}
		if target := c.Flag("target").Value.String(); filepath.Dir(target) != "/run/"+settings["RuntimeDirectory"] {
			t.Errorf("%s: the files go to %s", setting, target)
		}
	}
}

func TestAgentRefusesTemplatesWithAllThatIsWrong(t *testing.T) {
	dir, class, config := mountFixture(t)
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	bad := put("bad.yaml", `
- {path: ../a, template: x}
- {path: b, mode: "999", template: x}
- {path: c}
- {path: d, template: '{{ env "HOME" }}'}
- {path: b, secret: secret/data/web}
`)
	good := put("good.yaml", "- {path: a, secret: secret/data/web}\n")
	foreign := put("foreign.yaml", strings.Replace(mountClass, "provider: lanyard", "provider: vault", 1))
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"all that is wrong": {[]string{"--class-file", class, "--templates", bad}, []string{
			"template 1 (../a): path: must be a file below", `template 2 (b): mode: must be an octal mode`, "template 3 (c): template: missing", `template 4 (d): template: line 1: function "env" is not supported`, "template 5 (b): path: template 2 makes the same file",
		}},
		"no list":          {[]string{"--templates", config}, []string{"is no list of {path, mode, secret, template, command}"}},
		"an unknown field": {[]string{"--templates", put("field.yaml", "- {path: a, secret: b, perms: x}\n")}, []string{"perms"}},
		"an empty list":    {[]string{"--templates", put("empty.yaml", "[]\n")}, []string{"has no template"}},
		"another dialect":  {[]string{"--class-file", foreign, "--templates", good}, []string{"must be of provider lanyard, and is of vault"}},
		"no store":         {[]string{"--templates", good}, []string{"no store of that name is configured"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := runLanyard(append([]string{"agent", "--once", "--config", config, "--target", dir + "/volume"}, c.args...)...)
			if code == exitOK {
				t.Error("it is taken")
			}
			for _, want := range c.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("%s\ndoes not tell %s", stderr, want)
				}
			}
		})
	}
}

// Certificates and what templates write beside their own files, in one write at Vault for all
// that ask the same.
func TestAgentRendersCertificatesAndFurtherFiles(t *testing.T) {
	vault := newVaultDouble(t)
	dir := t.TempDir()
	target := filepath.Join(dir, "volume")
	const with = `{{ with pkiCert "/pki/issue/web" "common_name=web" "ttl=2h" }}`
	for name, text := range map[string]string{
		"token":        "token",
		"lanyard.yaml": "stores: {vault: {type: vault, address: '" + vault.URL + "', auth: {method: kubernetes, role: web}}}\n",
		"templates.yaml": mustYAML(t, []map[string]string{
			{"path": "web.pem", "template": with + `{{ .Cert }}{{ .Key | writeToFile "` + target + `/tls/web.key" "vault" "vault" "0600" }}{{ range .CAChain }}{{ . | writeToFile "` + target + `/chain" "" "" "0444" "append" }}{{ end }}{{ end }}`},
			{"path": "again", "mode": "0400", "template": with + `{{ .Data.Cert }}{{ end }}`},
			{"path": "serial", "template": `{{ with secret "pki/issue/web" "ttl=2h" "common_name=web" }}{{ .Data.serial }}{{ end }}`},
			{"path": "other", "template": `{{ with secret "pki/issue/web" "common_name=other" }}{{ .Data.serial }}{{ end }}`},
			{"path": "old", "template": `{{ with secret "secret/data/db?version=1" }}{{ .Data.data.password }}{{ end }}`},
		}),
	} {
		writeText(t, filepath.Join(dir, name), text)
	}
	args := []string{"agent", "--once", "--config", filepath.Join(dir, "lanyard.yaml"), "--templates", filepath.Join(dir, "templates.yaml"), "--token", "vault=" + filepath.Join(dir, "token")}
	if code, _, stderr := runLanyard(append(args, "--target", target)...); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for path, want := range map[string]struct {
		text string
		mode fs.FileMode
	}{
		"web.pem": {"certificate of web\n", 0o644}, "tls/web.key": {"planted-key\n", 0o600}, "chain": {"the issuer\nthe root\n", 0o444},
		"again": {"certificate of web\n", 0o400}, "serial": {"of web", 0o644}, "other": {"of other", 0o644}, "old": {"planted@1", 0o644},
	} {
		text, err := os.ReadFile(filepath.Join(target, path))
		info, found := os.Stat(filepath.Join(target, path))
		if err != nil || found != nil || string(text) != want.text || info.Mode().Perm() != want.mode {
			t.Errorf("%s: %q, %v, %v; want %q and %v", path, text, info, err, want.text, want.mode)
		}
	}
	if got := vault.count("PUT /v1/pki/issue/web"); got != 2 {
		t.Errorf("%d certificates were issued, want 2", got)
	}

	// Whatever does not lie below the target is not written.
	for file, want := range map[string]string{
		"/etc/lanyard-planted": "/etc/lanyard-planted does not lie below the folder of the files", target: "does not lie below", target + "-x/a": "does not lie below",
		target + "/b": "template 2 makes the file b", target + "/..data": "does not lie below",
	} {
		writeText(t, filepath.Join(dir, "templates.yaml"), mustYAML(t, []map[string]string{{"path": "a", "template": "x"}, {"path": "b", "template": "x"}, {"path": "c", "template": `{{ "x" | writeToFile "` + file + `" "" "" "0600" }}`}}))
		if code, _, stderr := runLanyard(append(args, "--target", target)...); code != exitUsage || !strings.Contains(stderr, "template 3 (c): template: writeToFile: ") || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d, %s; want %s", file, code, stderr, want)
		}
	}
}

func mustYAML(t *testing.T, v any) string {
	t.Helper()
	text, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// serveClass serves the class shop/web alone of the fixture, makes that API server the
// one of $KUBECONFIG, and returns the file of a token of shop/web.
func serveClass(t *testing.T, dir string) (token string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path != "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/shop/secretproviderclasses/web" {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"it is forbidden","reason":"Forbidden","code":403}`)
			return
		}
		text, err := yaml.YAMLToJSON([]byte(mountClass))
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(text)
	}))
	t.Cleanup(server.Close)
	kubeconfig, token := filepath.Join(dir, "kubeconfig"), filepath.Join(dir, "token")
	claims := base64.RawURLEncoding.EncodeToString([]byte(`{"kubernetes.io":{"namespace":"shop","serviceaccount":{"name":"web"},"pod":{"name":"web-0"}}}`))
	for path, text := range map[string]string{
		kubeconfig: "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{name: a, cluster: {server: '" + server.URL + "'}}]\ncontexts: [{name: a, context: {cluster: a, user: a}}]\nusers: [{name: a, user: {}}]\n",
		token:      "h." + claims + ".planted\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("KUBECONFIG", kubeconfig)
	return token
}

// With a name alone the class is the cluster's, in the namespace that the token tells.
func TestAgentReadsAClassOfTheCluster(t *testing.T) {
	dir, _, config := mountFixture(t)
	args := []string{"agent", "--once", "--config", config, "--target", dir + "/volume", "--token", "vault=" + serveClass(t, dir)}
	if code, _, stderr := runLanyard(append(args, "--class", "web")...); code != exitOK {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	code, _, stderr := runLanyard(append(args, "--class", "api")...)
	if code != exitFailed || !strings.Contains(stderr, "class shop/api cannot be read") || !strings.Contains(stderr, "needs the right to get it") || strings.Contains(stderr, "planted") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// What the agent reads is in the trail, and without a trail that has to be there it, and exec
// too, gives nothing out.
func TestAgentAndExecKeepToTheAuditTrail(t *testing.T) {
	dir, class, config := mountFixture(t)
	target, trail := filepath.Join(dir, "volume"), filepath.Join(dir, "audit.log")
	settings, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	with := func(path string) {
		t.Helper()
		text := string(settings) + "\naudit: {required: true, file: {path: " + path + "}}\n"
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	agent := []string{"agent", "--once", "--class-file", class, "--config", config, "--target", target}
	with(filepath.Join(dir, "missing", "audit.log"))
	if code, _, stderr := runLanyard(agent...); code != exitUsage || !strings.Contains(stderr, "audit") {
		t.Errorf("exit code %d without a trail: %s", code, stderr)
	}
	if _, err := os.Stat(target + "/note"); err == nil {
		t.Error("there are files without a record")
	}
	with(trail)
	if code, _, stderr := runLanyard(agent...); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	records, err := os.ReadFile(trail)
	if err != nil || !bytes.Contains(records, []byte(`"event":"read"`)) || !bytes.Contains(records, []byte(`"event":"delivery"`)) || bytes.Contains(records, []byte("planted")) {
		t.Errorf("the trail is %s, %v", records, err)
	}
	if code, stdout, stderr := runLanyard("exec", "--class-file", class, "--config", config, "--all", "--prefix", "APP_", "--", "/usr/bin/env"); code != exitUsage || stdout != "" || !strings.Contains(stderr, "audit.required") {
		t.Errorf("exec: exit code %d, %q, %q", code, stdout, stderr)
	}
}
