package kms

import (
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// A key that Vault refuses: lanyard status on the node and the plugin's page say so, as the
// table in docs/testing.md has it.
func TestStatusTellsOfARefusedKey(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../cmd/testdata/doctor/setups.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var setups []struct{ Name, Status, Page, Log string }
	if err := yaml.Unmarshal(text, &setups); err != nil {
		t.Fatal(err)
	}
	v := newVault(t)
	p := newPlugin(v, "one", "write").start()
	show := func() (shown, page string, code int) {
		t.Helper()
		run := p.Command("status", "--provider-url", "http://"+p.AdminAddress())
		output, err := run.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		answer, err := http.Get("http://" + p.AdminAddress() + "/")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(output), html.UnescapeString(string(body)), run.ProcessState.ExitCode()
	}
	eventually(t, time.Minute, "a key that works", func() error {
		if shown, page, code := show(); code != 0 || !strings.Contains(shown, "up") || !strings.Contains(page, "healthy") {
			return fmt.Errorf("lanyard status ends with %d:\n%s", code, shown)
		}
		return nil
	})
	answer := v.Must(t, http.MethodPost, "auth/token/create", map[string]any{"policies": []string{"default"}, "ttl": "1h"})
	v.must(v.UseToken(answer.Auth.ClientToken))
	p.Kill()
	p.start()
	for _, setup := range setups {
		if setup.Name != "kms-key-refused" {
			continue
		}
		eventually(t, time.Minute, "a key that is refused", func() error {
			shown, page, code := show()
			if code != 3 || !strings.Contains(shown, setup.Status) || !strings.Contains(page, setup.Page) || !strings.Contains(p.Output(), setup.Log) {
				return fmt.Errorf("lanyard status ends with %d:\n%s", code, shown)
			}
			return nil
		})
		return
	}
	t.Error("the table has no such set-up")
}
