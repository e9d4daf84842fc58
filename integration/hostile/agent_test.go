package hostile

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/integration/issuer"
)

// An agent whose class or store is hostile ends in time and within memory, with an exit
// code that says which, and writes no file of a class that failed.
func TestTheAgentIsBounded(t *testing.T) {
	tokens, err := issuer.New()
	if err != nil {
		t.Fatal(err)
	}
	e := newEvil(t, &lab{issuer: tokens})
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	config := write("lanyard.yaml", "policy: {classStores: ['*', 127.0.0.0/8]}\nbounds: {mountTimeout: 6s, readTimeout: 2s}\n")
	text, err := tokens.Token(issuer.Claims{Audience: "vault", Namespace: namespace(0), ServiceAccount: "mallory", UID: "u", Pod: "p", PodUID: "pu", Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	token := write("token", text)
	classes := map[string]map[string]string{"templates": templates(1), "aliases": {"stores": aliases(), "objects": aliases()}}
	for name, keys := range map[string][]string{
		"large": repeat("size/4100000", 64), "leases": repeat("lease/550000", 7), "hang": repeat("hang", 64), "drip": repeat("drip", 8), "endless": repeat("endless", 8),
		"headers": repeat("headers", 16), "gzip": repeat("gzip", 8), "deep": repeat("deep", 8), "keys": repeat("keys/100000", 8), "redirect": repeat("redirect", 16), "echo": repeat("echo", 16),
	} {
		classes[name] = e.vaultClass(e.at(0), keys...)
	}
	for name, parameters := range classes {
		t.Run(name, func(t *testing.T) {
			manifest, err := json.Marshal(map[string]any{
				"apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass", "metadata": map[string]any{"name": "class"},
				"spec": map[string]any{"provider": "lanyard", "parameters": maps.Clone(parameters)},
			})
			if err != nil {
				t.Fatal(err)
			}
			target := filepath.Join(dir, "target-"+name)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			c := exec.CommandContext(ctx, binary, "agent", "--once", "--config", config, "--class-file", write(name+".yaml", string(manifest)),
				"--target", target, "--token", "vault="+token)
			c.Env = []string{"HOME=" + dir, "PATH=/nonexistent"}
			var printed bytes.Buffer
			c.Stdout, c.Stderr = &printed, &printed
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- c.Wait() }()
			resident := float64(0)
			for running := true; running; {
				select {
				case err = <-ended:
					running = false
				case <-time.After(10 * time.Millisecond):
					if mib, err := residentOf(c.Process.Pid); err == nil {
						resident = max(resident, mib)
					}
				}
			}
			code, output := c.ProcessState.ExitCode(), printed.Bytes()
			if code != 0 && code != 1 || bytes.Contains(output, []byte("panic:")) || bytes.ContainsRune(output, '\x1b') {
				t.Errorf("it ended with code %d, %v:\n%.4000s", code, err, output)
			}
			if _, err := os.Lstat(filepath.Join(target, "..data")); code == 1 && err == nil {
				t.Error("a class that failed has files")
			}
			if resident > memory {
				t.Errorf("%.0f MiB resident", resident)
			}
			t.Logf("code %d, %.0f MiB", code, resident)
		})
	}
}
