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
		{[]string{"help", "mont"}, "did you mean mount?"},
		{[]string{"help", "mount", "more"}, "see lanyard mount --help"},
		{[]string{"completion", "tcsh"}, "did you mean bash or zsh or fish? See lanyard completion --help"},
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
			if c.Short == "" || c.Long == "" || !strings.Contains(c.Example, c.CommandPath()) {
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

func TestCompletionOffersWhatFlagsTake(t *testing.T) {
	for _, c := range []struct {
		line []string
		want string
	}{
		{[]string{"mount", "--output", ""}, "text\njson\n"},
		{[]string{"seal", "--output", ""}, "text\nentry\n"},
		{[]string{"serve", "--dialects", ""}, "lanyard\n"},
		{[]string{"serve", "--logging-format", ""}, "text\njson\n"},
		{[]string{"mount", ""}, "yaml\nyml\njson\n"},
	} {
		if _, stdout, _ := runLanyard(append([]string{"__complete"}, c.line...)...); !strings.Contains(stdout, c.want) {
			t.Errorf("%v is completed with %q, want %q", c.line, stdout, c.want)
		}
	}
}

func TestVersionIsAlsoAFlag(t *testing.T) {
	if code, stdout, _ := runLanyard("--version"); code != exitOK || !strings.HasPrefix(stdout, "lanyard ") {
		t.Errorf("exit code %d, %q", code, stdout)
	}
}
