package mount

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/integration/lanyardserver"
)

// eachDoor runs a check by each way in which a pod gets its files: the provider and the
// driver, and lanyard agent as an init container.
func eachDoor(t *testing.T, s setup, check func(*testing.T, *node)) {
	t.Helper()
	for name, agent := range map[string]bool{"driver": false, "agent": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := s
			s.agent = agent
			check(t, newNode(t, s))
		})
	}
}

// agentRuns are runs of lanyard agent --once.
type agentRuns struct {
	root   string // all that the process can find, but for its inputs
	inputs string
	config string
	flags  []string
	output lanyardserver.Output
}

func newAgentRuns(t *testing.T, config string, flags []string) *agentRuns {
	t.Helper()
	a := &agentRuns{root: t.TempDir(), inputs: t.TempDir(), flags: flags}
	a.config = a.input(t, "lanyard.yaml", config)
	return a
}

func (a *agentRuns) input(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(a.inputs, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// agentError is what a run ended with.
type agentError struct{ error }

// inputsOf are the flags that give an agent a pod's class and credentials as files. The
// attributes are those that the driver sends.
func (a *agentRuns) inputsOf(p pod, attributes string) (args []string, err error) {
	dir, err := os.MkdirTemp(a.inputs, p.name)
	if err != nil {
		return nil, err
	}
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		err = errors.Join(err, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	all := map[string]string{}
	if err := json.Unmarshal([]byte(attributes), &all); err != nil {
		return nil, err
	}
	for name := range all {
		if strings.HasPrefix(name, "csi.storage.k8s.io/") || name == "secretProviderClass" {
			delete(all, name)
		}
	}
	args = append(args, "--class-file", put("class.yaml", mustJSON(map[string]any{
		"apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass", "metadata": map[string]any{"name": "web"},
		"spec": map[string]any{"provider": "lanyard", "parameters": all},
	})), "--target", p.volume)
	for audience, token := range p.tokens {
		args = append(args, "--token", audience+"="+put("token-"+audience, token.Token))
	}
	for name, value := range p.credentials {
		args = append(args, "--credential", name+"="+put("credential-"+name, value))
	}
	return args, err
}

// mount has an agent write the pod's files once. It has no versions.
func (a *agentRuns) mount(ctx context.Context, p pod, attributes string) (map[string]string, error) {
	args, err := a.inputsOf(p, attributes)
	if err != nil {
		return nil, err
	}
	args = append([]string{"agent", "--once", "--config", a.config}, append(args, a.flags...)...)
	run := exec.CommandContext(ctx, binary, args...)
	run.Dir = a.root
	run.Env = []string{"HOME=" + a.root, "TMPDIR=" + a.root, "PATH=/nonexistent"}
	output, err := run.CombinedOutput()
	_, _ = a.output.Write(output)
	if err == nil {
		return nil, nil
	}
	if code := run.ProcessState.ExitCode(); code != 1 && code != 2 {
		return nil, fmt.Errorf("lanyard agent ended with code %d:\n%s", code, output)
	}
	text := string(output[strings.LastIndex(string(output), "lanyard: "):])
	return nil, agentError{errors.New(strings.TrimSuffix(strings.TrimPrefix(text, "lanyard: "), "\n"))}
}
