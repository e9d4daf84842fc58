package cmd

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestUnknownCommandsAndFlagsAreUsageErrors(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"mont"}, "did you mean mount?"},
		{[]string{"frobnicate"}, "see lanyard --help"},
		{[]string{"--frob"}, "unknown flag: --frob; see lanyard --help"},
		{[]string{"mount", "--frob"}, "see lanyard mount --help"},
	} {
		if code, _, stderr := runLanyard(c.args...); code != exitUsage || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: exit code %d, %q; want %d and %q", c.args, code, stderr, exitUsage, c.want)
		}
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Runnable() && c.HasParent() && c.Parent().Name() != "completion" && c.Name() != "help" {
			if c.Short == "" || c.Long == "" || !strings.Contains(c.Example, "lanyard "+c.Name()) {
				t.Errorf("%s lacks a description or an example of itself", c.CommandPath())
			}
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(newRoot())
}

func TestCompletionIsOfferedForEveryShell(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if code, stdout, stderr := runLanyard("completion", shell); code != exitOK || len(stdout) < 100 {
			t.Errorf("completion %s: exit code %d, %d bytes, %s", shell, code, len(stdout), stderr)
		}
	}
}
