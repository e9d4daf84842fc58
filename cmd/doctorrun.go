package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/lanyardhq/lanyard/internal/message"
)

// doctorResult is what a check says of one place.
type doctorResult string

const (
	doctorOK      doctorResult = "ok"
	doctorWarn    doctorResult = "warn"
	doctorFail    doctorResult = "FAIL"
	doctorUnknown doctorResult = "unknown" // it could not be looked at
)

// doctorFinding is what a check found at one place.
type doctorFinding struct {
	Check  string       `json:"check"`
	Result doctorResult `json:"result"`
	// Place is which store, node or object it is of; empty if there is only one.
	Place string `json:"place,omitempty"`
	// Says is what is right, or the cause of what is not.
	Says string `json:"says"`
	// Fix is the command, or the change, that puts it right.
	Fix string `json:"fix,omitempty"`
	// Page is the part of docs/doctor.md that tells more.
	Page string `json:"page,omitempty"`
}

// doctorCheck is one row of a table of checks.
type doctorCheck[S any] struct {
	// name is the check's, and the heading of docs/doctor.md.
	name string
	// looks is what it looks at, for people.
	looks string
	run   func(on S, ctx context.Context, notes *doctorNotes)
}

// doctorNotes collects what one check finds. It is safe for concurrent use.
type doctorNotes struct {
	check string

	mu       sync.Mutex
	findings []doctorFinding
}

func (n *doctorNotes) add(result doctorResult, place string, fix doctorFix, format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	finding := doctorFinding{Check: n.check, Result: result, Place: oneLine(place), Says: oneLine(fmt.Sprintf(format, args...)), Fix: oneLine(fix.text)}
	if result != doctorOK {
		finding.Page = "docs/doctor.md#" + n.check
	}
	n.findings = append(n.findings, finding)
}

func (n *doctorNotes) ok(place, format string, args ...any) {
	n.add(doctorOK, place, noFix, format, args...)
}

func (n *doctorNotes) warn(place string, fix doctorFix, format string, args ...any) {
	n.add(doctorWarn, place, fix, format, args...)
}

func (n *doctorNotes) fail(place string, fix doctorFix, format string, args ...any) {
	n.add(doctorFail, place, fix, format, args...)
}

func (n *doctorNotes) unknown(place string, fix doctorFix, format string, args ...any) {
	n.add(doctorUnknown, place, fix, format, args...)
}

// maxDoctorLine is more than the longest event and most errors have, in bytes.
const maxDoctorLine = 4096

// oneLine makes what others wrote one printable line.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, message.Cut(strings.Join(strings.Fields(text), " "), maxDoctorLine))
}

// doctorAtOnce is how many checks run at a time.
const doctorAtOnce = 8

// runDoctorChecks runs all checks, each within the time, and returns what they found in
// the order of the table. One that fails hides no other.
func runDoctorChecks[S any](ctx context.Context, checks []doctorCheck[S], on S, within time.Duration, progress func(done, total int)) []doctorFinding {
	found := make([]*doctorNotes, len(checks))
	turns := make(chan struct{}, doctorAtOnce)
	var (
		work sync.WaitGroup
		mu   sync.Mutex
		done int
	)
	for i, check := range checks {
		found[i] = &doctorNotes{check: check.name}
		work.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			limited, cancel := context.WithTimeout(ctx, within)
			defer cancel()
			runDoctorCheck(limited, check, on, found[i])
			if len(found[i].findings) == 0 {
				found[i].unknown("", noFix, "nothing was found out within %s; give more with --timeout", within)
			}
			mu.Lock()
			defer mu.Unlock()
			done++
			progress(done, len(checks))
		})
	}
	work.Wait()
	var all []doctorFinding
	for _, notes := range found {
		all = append(all, notes.findings...)
	}
	return all
}

// runDoctorCheck runs one check. A fault in it is told like what it did not find out.
func runDoctorCheck[S any](ctx context.Context, check doctorCheck[S], on S, notes *doctorNotes) {
	defer func() {
		if r := recover(); r != nil {
			notes.unknown("", noFix, "the check itself failed (%T); please report it", r)
		}
	}()
	check.run(on, ctx, notes)
}

// doctorReport is what doctor prints.
type doctorReport struct {
	OK       bool            `json:"ok"`
	Version  string          `json:"version"`
	Findings []doctorFinding `json:"findings"`
}

func newDoctorReport(findings []doctorFinding) doctorReport {
	report := doctorReport{Version: thisBuild().Version, Findings: findings}
	report.OK = report.count(doctorFail) == 0
	return report
}

func (r *doctorReport) count(result doctorResult) (n int) {
	for _, finding := range r.Findings {
		if finding.Result == result {
			n++
		}
	}
	return n
}

// printText prints a line for each finding, and below it what fixes it.
func (r *doctorReport) printText(w io.Writer) error {
	width := 0
	for _, finding := range r.Findings {
		width = max(width, len(finding.Check))
	}
	var text strings.Builder
	for _, finding := range r.Findings {
		says := finding.Says
		if finding.Place != "" {
			says = finding.Place + ": " + says
		}
		fmt.Fprintf(&text, "%-7s  %-*s  %s\n", finding.Result, width, finding.Check, oneLine(says))
		if finding.Fix != "" {
			fmt.Fprintf(&text, "%*s  fix: %s\n", 9+width, "", oneLine(finding.Fix))
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// summary counts what was found, as the error of what is not right.
func (r *doctorReport) summary() error {
	var parts []string
	for _, result := range []doctorResult{doctorFail, doctorWarn, doctorUnknown, doctorOK} {
		if n := r.count(result); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, result))
		}
	}
	text := strings.Join(parts, ", ")
	if !r.OK {
		var pages []string
		for _, finding := range r.Findings {
			if finding.Result == doctorFail && !slices.Contains(pages, finding.Check) {
				pages = append(pages, finding.Check)
			}
		}
		return errors.New(text + "; docs/doctor.md says more about " + strings.Join(pages, ", "))
	}
	return nil
}
