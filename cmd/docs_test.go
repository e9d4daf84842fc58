package cmd

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/cobra"
)

// pages are all Markdown files of the repository by their path from its root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	root := os.DirFS("..")
	err := fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != "." && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case filepath.Ext(path) != ".md":
			return nil
		}
		data, err := fs.ReadFile(root, path)
		found[path] = string(data)
		return err
	})
	if err != nil || found["README.md"] == "" || found["docs/classes.md"] == "" {
		t.Fatalf("the pages were not found: %v", err)
	}
	return found
}

var (
	fenced     = regexp.MustCompile("(?ms)^( *)```(\\w*)\n(.*?)^ *```")
	inlineCode = regexp.MustCompile("`[^`\n]+(?:\n[^`\n]+)?`")
	link       = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading    = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// anchor is what a heading is called in links, as GitHub makes it.
func anchor(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, title)
}

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	all := pages(t)
	for name, text := range all {
		prose := inlineCode.ReplaceAllString(fenced.ReplaceAllString(text, ""), "")
		for _, match := range link.FindAllStringSubmatch(prose, -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			path, fragment, _ := strings.Cut(match[1], "#")
			target := name
			if path != "" {
				target = filepath.Join(filepath.Dir(name), path)
			}
			if _, err := os.Stat(filepath.Join("..", target)); err != nil {
				t.Errorf("%s links to %s, which is not there", name, match[1])
				continue
			}
			titles := heading.FindAllStringSubmatch(fenced.ReplaceAllString(all[target], ""), -1)
			if fragment != "" && !slices.ContainsFunc(titles, func(title []string) bool { return anchor(title[1]) == fragment }) {
				t.Errorf("%s links to %s, which has no such heading", name, match[1])
			}
		}
	}
}

// commands are all commands below one, at any depth.
func commands(parent *cobra.Command) []*cobra.Command {
	var all []*cobra.Command
	for _, c := range parent.Commands() {
		all = append(append(all, c), commands(c)...)
	}
	return all
}

// TestPagesCallCommandsThatExist follows every `lanyard command --flag` of the
// pages, of the demonstration and of the commands' own examples.
func TestPagesCallCommandsThatExist(t *testing.T) {
	root := newRoot()
	root.InitDefaultCompletionCmd()
	texts := map[string][]string{}
	for name, text := range pages(t) {
		for _, block := range fenced.FindAllStringSubmatch(text, -1) {
			texts[name] = append(texts[name], block[3])
		}
		for _, code := range inlineCode.FindAllString(fenced.ReplaceAllString(text, ""), -1) {
			texts[name] = append(texts[name], strings.Trim(code, "`"))
		}
	}
	for _, script := range []string{"docs/demo.sh", "Dockerfile"} {
		data, err := os.ReadFile(filepath.Join("..", script))
		if err != nil {
			t.Fatal(err)
		}
		texts[script] = []string{string(data)}
	}
	for _, c := range commands(root) {
		texts["the examples of "+c.CommandPath()] = []string{c.Example}
	}
	calls := 0
	for name, codes := range texts {
		for _, code := range codes {
			for _, words := range lanyardCalls(code) {
				calls++
				command, rest, err := root.Find(words)
				if err != nil || command == root && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
					t.Errorf("%s calls lanyard %s, which does not exist", name, strings.Join(words, " "))
					continue
				}
				for _, flag := range unknownFlags(command, rest) {
					t.Errorf("%s calls %s with %s, which does not exist", name, command.CommandPath(), flag)
				}
			}
		}
	}
	if calls < 40 {
		t.Errorf("only %d calls were found", calls)
	}
}

var (
	continued = regexp.MustCompile(`\\+\n\s*`)
	call      = regexp.MustCompile(`(?:^|[\s|"$(]\s*)lanyard ((?:\s*[\w./,:={}<@-]+|\s*"[^"\n]*"|\s*'[^'\n]*')+)`)
	ofCluster = regexp.MustCompile(`^\s*(?:\$ )?(?:\w+=\$\()?(?:helm|kubectl)\s`)
	word      = regexp.MustCompile(`"[^"]*"|'[^']*'|\S+`)
)

// inContainer is where kubectl exec begins a call of the program in a container.
var inContainer = regexp.MustCompile(`^.* -- /lanyard(?:-sync)? `)

// lanyardCalls are the arguments of each call of lanyard in a text of shell.
// A comment, a line of a log or a path is none, nor is the name of a release or
// a namespace.
func lanyardCalls(code string) [][]string {
	var calls [][]string
	for line := range strings.Lines(continued.ReplaceAllString(code, " ")) {
		line = inContainer.ReplaceAllString(line, "lanyard ")
		if strings.HasPrefix(strings.TrimSpace(line), "#") || strings.HasPrefix(line, "lanyard: ") || ofCluster.MatchString(line) {
			continue
		}
		for _, match := range call.FindAllStringSubmatch(line, -1) {
			words := word.FindAllString(match[1], -1)
			if len(words) > 0 && words[0] != "{" {
				calls = append(calls, words)
			}
		}
	}
	return calls
}

// unknownFlags are those of the words that are flags and not the command's.
func unknownFlags(command *cobra.Command, words []string) []string {
	command.InitDefaultHelpFlag()
	command.InitDefaultVersionFlag()
	var unknown []string
	for _, one := range words {
		name, _, _ := strings.Cut(strings.TrimLeft(one, "-"), "=")
		switch {
		case strings.HasPrefix(one, "--") && name != "" && command.Flags().Lookup(name) == nil,
			!strings.HasPrefix(one, "--") && strings.HasPrefix(one, "-") && name != "" && command.Flags().ShorthandLookup(name[:1]) == nil:
			unknown = append(unknown, one)
		}
	}
	return unknown
}

// TestFlagsInProseExist takes every flag that stands alone in the prose of a
// page about commands.
func TestFlagsInProseExist(t *testing.T) {
	known := map[string]bool{"--max-call-recv-msg-size": true, "--patches": true, "--enable-secret-rotation": true} // the driver's, kubeadm's
	for _, c := range commands(newRoot()) {
		for _, flag := range regexp.MustCompile(`--[a-z][a-z-]*`).FindAllString(c.Flags().FlagUsages(), -1) {
			known[flag] = true
		}
	}
	for name, text := range pages(t) {
		// A page about another provider lists that one's flags in tables.
		if strings.Contains(name, "migrate-from-") {
			text = regexp.MustCompile(`(?m)^\|.*$`).ReplaceAllString(text, "")
		}
		for _, match := range regexp.MustCompile("`(--[a-z][a-z-]*)[^`\n]*`").FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
			if !known[match[1]] {
				t.Errorf("%s mentions the flag %s, which no command has", name, match[1])
			}
		}
	}
}

// TestEveryFlagOfServeIsDocumented holds the manual's table against the flags.
func TestEveryFlagOfServeIsDocumented(t *testing.T) {
	page := pages(t)["docs/operations.md"]
	for _, flag := range regexp.MustCompile(`(?m)--[a-z][a-z-]*`).FindAllString(newServe().Flags().FlagUsages(), -1) {
		if flag != "--v" && !strings.Contains(page, "| `"+flag+"` |") {
			t.Errorf("docs/operations.md has no row for %s", flag)
		}
	}
}
