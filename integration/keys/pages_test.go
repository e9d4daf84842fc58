package keys

import (
	"os"
	"os/exec"
	"regexp"
	"testing"

	"github.com/lanyardhq/lanyard/provider/key"
)

// The shell function by which the page lets an operator write a policy gives
// the prefix that the tests hold Vault to.
func TestThePageMakesThePrefixOfAPolicy(t *testing.T) {
	page, err := os.ReadFile("../../docs/keys/vault.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?ms)^```bash\n(context_prefix\\(\\) \\{.*?^\\}\n)").FindSubmatch(page)
	if block == nil {
		t.Fatal("the page has no such function")
	}
	for _, bound := range []key.Context{
		{"cluster": "test"},
		{"cluster": "test", "namespace": "prod"},
		{"cluster": "größe 1%", "namespace": `a'b"c\d`},
	} {
		script := string(block[1]) + `context_prefix "$@"`
		args := []string{"-c", script, "bash", "cluster", bound["cluster"]}
		if bound["namespace"] != "" {
			args = append(args, "namespace", bound["namespace"])
		}
		got, err := exec.CommandContext(t.Context(), "bash", args...).Output()
		if err != nil || string(got) != prefixOf(bound) {
			t.Errorf("for %v the function prints %q, %v; want %q", bound, got, err, prefixOf(bound))
		}
	}
}
