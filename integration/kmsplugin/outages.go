package kmsplugin

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// Outage is a row of the table of outages in docs/kms.md: what works while
// something fails. Tests over the API server's own code and tests over whole API
// servers write rows of the same table; where both do, they have to agree.
type Outage struct {
	// What happens, and For how long.
	What, For string
	// Known says whether an API server reads what it knows the seed of, Other
	// whether it reads the rest; Writes whether it writes, and Starts whether
	// another one can start.
	Known, Other, Writes, Starts bool
	// Tight says that answers come so close to what the API server waits that
	// Other and Starts depend on the machine.
	Tight bool
	// Says is what the API server's readiness check says.
	Says string
}

// The lines that the table stands between.
const (
	outagesBegin = "<!-- outages: written by the tests -->\n"
	outagesEnd   = "<!-- end of outages -->\n"
)

const outagesHead = "\n| what happens | for | reads of what this API server knows | other reads | writes | an API server can start | the API server's readiness check says |\n|---|---|---|---|---|---|---|\n"

// CheckOutages holds the rows of a test against the table in the page: whether
// each thing works. The text of an error is an example. With update the page's
// rows are replaced by these, and new ones are added below them.
func CheckOutages(page string, seen []Outage, update bool) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), outagesBegin)
	table, after, closed := strings.Cut(rest, outagesEnd)
	if !ok || !closed {
		return fmt.Errorf("%s has no place for the table of outages", page)
	}
	var rows []string
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| what happens") {
			rows = append(rows, line)
		}
	}
	var wrong []error
	for _, o := range seen {
		at := slices.IndexFunc(rows, func(row string) bool { return strings.HasPrefix(row, o.begin()) })
		switch {
		case at < 0:
			rows = append(rows, o.String())
		case strings.HasPrefix(rows[at], o.facts()) && !update:
			continue
		default:
			rows[at] = o.String()
		}
		wrong = append(wrong, fmt.Errorf("%s tells otherwise of outages than %s", page, o))
	}
	if !update {
		return errors.Join(wrong...)
	}
	fresh := before + outagesBegin + outagesHead + strings.Join(rows, "") + "\n" + outagesEnd + after
	return os.WriteFile(page, []byte(fresh), 0o644) //nolint:gosec // a page of the documentation
}

func (o Outage) begin() string { return "| " + o.What + " | " + o.For + " | " }

func (o Outage) facts() string {
	facts := o.begin()
	for _, cell := range []struct{ works, tight bool }{
		{o.Known, false}, {o.Other, o.Tight}, {o.Writes, false}, {o.Starts, o.Tight},
	} {
		switch {
		case cell.tight:
			facts += "hardly | "
		case cell.works:
			facts += "yes | "
		default:
			facts += "no | "
		}
	}
	return facts
}

// String is the row with its line's end.
func (o Outage) String() string { return o.facts() + plain(o.Says) + " |\n" }

// plain is what the API server says without what differs from run to run.
func plain(said string) string {
	if said == "ok" {
		return "ok"
	}
	for _, end := range []string{"got unexpected healthz status: ", "desc = "} {
		if _, after, found := strings.Cut(said, end); found {
			said = after
		}
	}
	said = strings.TrimSpace(said)
	for _, rule := range []struct{ pattern, with string }{
		{`http://127\.0\.0\.1:\d+`, "https://vault.example.com:8200"},
		{`/\S*/token\b`, "/etc/lanyard/token"},
		{`/tmp/\S*kms\.sock`, "/run/lanyard-kms/kms.sock"},
		{`\bkms\d+\b`, "transit"},
		{`\boutage\d+\b`, "one"},
		{`127\.0\.0\.1:\d+`, "10.0.0.2:8200"},
		{`within [\d.]+m?s`, "within 2.97s"},
		{`\d+ of \d+ bytes|\|`, ""},
	} {
		said = regexp.MustCompile(rule.pattern).ReplaceAllString(said, rule.with)
	}
	if limit := 240; len(said) > limit {
		said = said[:limit] + "…"
	}
	return "`" + said + "`"
}
