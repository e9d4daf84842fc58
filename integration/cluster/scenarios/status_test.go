package scenarios

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/lanyardhq/lanyard/integration/cluster/lab"
	"github.com/lanyardhq/lanyard/integration/faultproxy"
)

// lanyard status shows, with the rights that its page names, a pod that is well, one that
// fails, a Secret, and a store that goes down and comes back. No value is in what it prints,
// nor in what the provider tells of itself.
func TestStatus(t *testing.T) {
	s := alone(t)
	const planted = "planted-and-never-shown"
	p, err := s.Proxy(lab.ProxyAddress)
	s.must(err)
	t.Cleanup(p.Close)
	s.put("db", map[string]any{"password": planted})
	s.class("db", `
    refresh: 1s
    objects: |
      - {path: password, store: watched, key: secret/data/$namespace/db, property: password}
`)
	s.class("broken", asWorkload+`
    objects: |
      - {path: token, store: vault, key: secret/data/$namespace/nowhere, property: value}
`)
	s.apply(`
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: copied, annotations: {lanyard.dev/sync: $account}}
spec:
  provider: lanyard
  parameters:
    stores: |
      vault: {auth: {role: workload}}
    objects: |
      - {path: password, store: vault, key: secret/data/$namespace/db, property: password}
  secretObjects:
    - {secretName: copy, type: Opaque, data: [{objectName: password, key: password}]}
`, "$account", account)
	s.start(pod{Name: "well", Classes: []string{"db"}})
	s.create(pod{Name: "ill", Classes: []string{"broken"}})
	s.event("ill", "Vault has nothing there")
	s.becomesSecret("copy", "password", planted)
	version := s.shown("well", "db", "password")["password"]

	person := s.personWith("status.md", "lanyard-status")
	status := func(args ...string) (string, int) {
		t.Helper()
		output, code := s.lanyardAs(person, append([]string{"status", "-n", s.namespace}, args...)...)
		if strings.Contains(output, planted) {
			t.Errorf("lanyard status %s shows a value:\n%s", strings.Join(args, " "), output)
		}
		return output, code
	}
	shows := func(what string, wantCode int, lines ...[]string) {
		t.Helper()
		s.eventually(what, func() error {
			output, code := status("-o", "wide")
			for _, words := range lines {
				if !hasLine(output, words) {
					return fmt.Errorf("exit code %d; no line with %q in\n%s", code, words, output)
				}
			}
			if code != wantCode || strings.Contains(output, "NOT READ") {
				return fmt.Errorf("exit code %d:\n%s", code, output)
			}
			return nil
		})
	}
	shows("all is shown as it is", 3,
		[]string{"ok", s.namespace, "pod/well", "db", "password", "watched", version, "s"},
		[]string{"failed", s.namespace, "pod/ill", "broken"},
		[]string{"pod/ill (broken): ", "object 1 (token): vault: GET secret/data/" + s.namespace + "/nowhere: Vault has nothing there"},
		[]string{"ok", s.namespace, "secret/copy", "copied", "password", "vault"})

	p.Add(faultproxy.Fault{Refuse: true})
	shows("the store is down", 3,
		[]string{"stale", s.namespace, "pod/well", "db", "password", "watched", version},
		[]string{"pod/well (db): old values stand in of password; store watched is down: ", "cannot be reached"},
		[]string{"watched", "vault", "down"})
	text, _ := status()
	t.Log("\n" + text)
	if json, _ := status("-o", "json"); !strings.Contains(json, `"state": "stale"`) || !strings.Contains(json, version) {
		t.Errorf("as JSON:\n%s", json)
	}

	// In the provider's container there is no shell, and the program itself.
	provider, err := s.Provider(t.Context())
	s.must(err)
	inContainer := func(input string, args ...string) string {
		t.Helper()
		kubectl, err := s.Kubectl(t.Context())
		s.must(err)
		cmd := exec.CommandContext(t.Context(), kubectl, append([]string{"--kubeconfig", s.Kubeconfig, "-n", provider.Namespace, "exec", "-i", provider.Name, "--", "/lanyard"}, args...)...)
		cmd.Stdin = strings.NewReader(input)
		output, err := cmd.CombinedOutput()
		t.Logf("lanyard %s: %v\n%s", strings.Join(args, " "), err, output)
		if strings.Contains(string(output), planted) {
			t.Errorf("a value is shown")
		}
		return string(output)
	}
	if output := inContainer("", "status", "--provider-url", "http://127.0.0.1:9879", "-n", s.namespace, "-o", "wide"); !hasLine(output, []string{"stale", "pod/well", "password", version}) {
		t.Errorf("in the container:\n%s", output)
	}
	p.Clear()
	class := s.text(`
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: tried, namespace: $namespace}
spec:
  provider: lanyard
  parameters:
    objects: |
      - {path: password, store: watched, key: secret/data/$namespace/db, property: password}
---
`)
	kubectl, err := s.Kubectl(t.Context())
	s.must(err)
	token, err := exec.CommandContext(t.Context(), kubectl, "--kubeconfig", s.Kubeconfig, "-n", s.namespace, "create", "token", account, "--audience", "vault", "-o", "yaml").Output()
	s.must(err)
	s.eventually("the class is mounted in the container", func() error {
		socket := "/etc/kubernetes/secrets-store-csi-providers/lanyard.sock"
		if output := inContainer(class+string(token), "mount", "-", "--socket", socket); !hasLine(output, []string{"password", "0644", fmt.Sprint(len(planted))}) {
			return errors.New(output)
		}
		return nil
	})

	s.put("nowhere", map[string]any{"value": "found"})
	s.ready("ill")
	shows("all is well", 0, []string{"ok", s.namespace, "pod/well"}, []string{"ok", s.namespace, "pod/ill"}, []string{"ok", s.namespace, "secret/copy"})
}

// hasLine says whether a line begins with the first word and has all others after it.
func hasLine(text string, words []string) bool {
	for line := range strings.Lines(text) {
		rest, found := strings.TrimSpace(line), true
		if !strings.HasPrefix(rest, words[0]) && !strings.Contains(words[0], ": ") {
			continue
		}
		for _, word := range words {
			var has bool
			if _, rest, has = strings.Cut(rest, word); !has {
				found = false
				break
			}
		}
		if found {
			return true
		}
	}
	return false
}

// personWith is a kubeconfig of somebody who has the role of a page alone.
func (s *scenario) personWith(page, role string) string {
	s.t.Helper()
	text := s.page(page)
	found := false
	for _, b := range text.blocks {
		if strings.Contains(b.text, "kind: ClusterRole\n") && strings.Contains(b.text, "name: "+role) {
			s.must(s.ApplyIn(s.t.Context(), s.namespace, []byte(strings.ReplaceAll(b.text, "name: ann\n", "name: "+s.namespace+"\n"))))
			found = true
		}
	}
	if !found {
		s.t.Fatalf("%s has no ClusterRole %s", page, role)
	}
	config, err := clientcmd.LoadFromFile(s.Kubeconfig)
	s.must(err)
	for _, user := range config.AuthInfos {
		user.Impersonate = s.namespace
	}
	path := filepath.Join(s.t.TempDir(), "kubeconfig")
	s.must(clientcmd.WriteToFile(*config, path))
	return path
}

// lanyardAs runs the command line with a kubeconfig.
func (s *scenario) lanyardAs(kubeconfig string, args ...string) (output string, code int) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), s.Path("lanyard"), append(args, "--kubeconfig", kubeconfig)...)
	cmd.Env = append(os.Environ(), "HOME="+s.t.TempDir())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}
