package scenarios

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/lanyardhq/lanyard/integration/checkout"
)

// page is a page of the documentation that is followed as it is written.
type page struct {
	blocks []block
	// instead are texts that this machine does otherwise.
	instead *strings.Replacer
	dir     string
	env     []string
}

// block is a block of code in a page.
type block struct {
	section  string // the heading above it
	language string
	file     string // the file that it is to be written to, if the text says so
	text     string
}

// page reads a page. Commands run in a folder of their own that has the
// checkout's chart and the command line where the page expects them.
func (s *scenario) page(name string, instead ...string) *page {
	s.t.Helper()
	path, err := checkout.Path("docs", name)
	s.must(err)
	text, err := os.ReadFile(path)
	s.must(err)
	charts, err := checkout.Path("deployment")
	s.must(err)
	helm, err := s.HelmBinary(s.t.Context())
	s.must(err)
	kubectl, err := s.Kubectl(s.t.Context())
	s.must(err)
	dir := s.t.TempDir()
	s.must(os.Symlink(charts, filepath.Join(dir, "deployment")))
	s.must(os.Mkdir(filepath.Join(dir, "bin"), 0o755))
	s.must(os.Symlink(s.Path("lanyard"), filepath.Join(dir, "bin", "lanyard")))
	return &page{
		blocks: blocksOf(string(text)), instead: strings.NewReplacer(instead...), dir: dir,
		env: []string{
			"HOME=" + dir, "KUBECONFIG=" + s.Kubeconfig,
			"PATH=" + filepath.Dir(helm) + ":" + filepath.Dir(kubectl) + ":/usr/bin:/bin",
		},
	}
}

var fileAbove = regexp.MustCompile("(?m)^`([a-z]+\\.yaml)`[^\n]*:$")

// blocksOf are the blocks of code of a page in Markdown, in their order.
func blocksOf(text string) (blocks []block) {
	section, above := "", ""
	var open *block
	for line := range strings.Lines(text) {
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && open == nil:
			open = &block{section: section, language: fence}
			if named := fileAbove.FindStringSubmatch(above); named != nil {
				open.file = named[1]
			}
			above = ""
		case isFence:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.text += line
		case strings.HasPrefix(line, "#"):
			section, above = strings.TrimSpace(strings.TrimLeft(line, "#")), ""
		case strings.TrimSpace(line) != "":
			above = line
		}
	}
	return blocks
}

// follow does what a section says: writes its files, runs its commands, and
// compares what a console block shows with what they print. Blocks that begin
// with any of the texts are done otherwise on this machine; each has to be there.
func (s *scenario) follow(p *page, section string, otherwise ...string) {
	s.t.Helper()
	found := false
	for _, b := range p.blocks {
		if b.section != section {
			continue
		}
		found = true
		if i := begins(b.text, otherwise); i >= 0 {
			otherwise = append(otherwise[:i:i], otherwise[i+1:]...)
			continue
		}
		text := p.instead.Replace(b.text)
		switch {
		case b.file != "":
			s.must(os.WriteFile(filepath.Join(p.dir, b.file), []byte(text), 0o600))
		case b.language == "sh":
			s.shell(p, text)
		case b.language == "console":
			s.console(p, text)
		}
	}
	if !found || len(otherwise) > 0 {
		s.t.Fatalf("the page has no section %q, or in it nothing that begins with %q", section, otherwise)
	}
}

// block is the text of the block of a section that begins so.
func (s *scenario) block(p *page, section, start string) string {
	s.t.Helper()
	for _, b := range p.blocks {
		if b.section == section && strings.HasPrefix(b.text, start) {
			return p.instead.Replace(b.text)
		}
	}
	s.t.Fatalf("section %q has no block that begins with %q", section, start)
	return ""
}

func begins(text string, with []string) int {
	for i, start := range with {
		if strings.HasPrefix(text, start) {
			return i
		}
	}
	return -1
}

// shell runs commands as a user would and returns what they printed.
func (s *scenario) shell(p *page, commands string) string {
	s.t.Helper()
	s.t.Log(strings.TrimSpace(commands))
	cmd := exec.CommandContext(s.t.Context(), "bash", "-euo", "pipefail", "-c", "version=lab\n"+commands)
	cmd.Dir, cmd.Env = p.dir, p.env
	output, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v\n%s", err, output)
	}
	return string(output)
}

// console runs the commands of a console block, the lines that begin with "$ ".
// Where lines of output follow, they have to be what is printed.
func (s *scenario) console(p *page, text string) {
	s.t.Helper()
	for _, step := range strings.Split("\n"+text, "\n$ ")[1:] {
		command, want, _ := strings.Cut(step, "\n")
		want = strings.TrimSpace(want)
		if got := strings.TrimSpace(s.shell(p, command)); want != "" && got != want {
			s.t.Errorf("%s\nprinted %q, not %q", command, got, want)
		}
	}
}
