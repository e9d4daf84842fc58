package cmd

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	spanBegins  = regexp.MustCompile(`(?:span\.Start|span\.Call|racer\.Start)\([^"\n]*, "([a-z]+)"\)`)
	spanSays    = regexp.MustCompile(`\b\w+\.(?:Text|Number|Flag)\("([a-z][a-z0-9_.]+)"`)
	inBackticks = regexp.MustCompile("`([a-z_0-9.]+)`")
)

// The page has each span that the code begins, with what it says.
func TestTheTracingPageExplainsEverySpan(t *testing.T) {
	t.Parallel()
	var said []string
	for _, text := range sources(t) {
		for _, expression := range []*regexp.Regexp{spanBegins, spanSays} {
			for _, match := range expression.FindAllStringSubmatch(text, -1) {
				said = append(said, match[1])
			}
		}
	}
	slices.Sort(said)
	said = slices.Compact(said)
	_, rest, _ := strings.Cut(pages(t)["docs/tracing.md"], "<!-- spans -->")
	table, _, _ := strings.Cut(rest, "<!-- end of spans -->")
	var explained []string
	for _, match := range inBackticks.FindAllStringSubmatch(table, -1) {
		if match[1] != "ok" {
			explained = append(explained, match[1])
		}
	}
	slices.Sort(explained)
	explained = slices.Compact(explained)
	for _, name := range said {
		if !slices.Contains(explained, name) {
			t.Errorf("docs/tracing.md does not explain %s", name)
		}
	}
	for _, name := range explained {
		if !slices.Contains(said, name) && name != "mount" {
			t.Errorf("docs/tracing.md explains %s, which no span says", name)
		}
	}
	if len(said) < 20 {
		t.Errorf("only %q", said)
	}
}
