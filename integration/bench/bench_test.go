package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/integration/pictures"
)

// Nothing here measures: how long something takes is for the program to say.

func TestSummaryIsOfNearestRanks(t *testing.T) {
	var samples []float64
	for i := range 200 {
		samples = append(samples, float64(200-i))
	}
	got, want := summarize("ms", samples), summary{N: 200, Unit: "ms", Min: 1, P50: 100, P90: 180, P99: 198, Max: 200}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if one := summarize("ms", []float64{7}); one.P50 != 7 || one.P99 != 7 {
		t.Errorf("of one sample: %+v", one)
	}
}

func TestTheKernelIsKnownByItsMajorAndMinorVersion(t *testing.T) {
	for release, want := range map[string]string{"6.1.0-31-amd64\n": "6.1", "5.15\n": "5.15", "6.12-rc3\n": "6.12", "other\n": ""} {
		if got := kernelRelease.FindString(release); got != want {
			t.Errorf("%q is shown as %q, want %q", release, got, want)
		}
	}
}

func TestFigureIsHeldToItsTarget(t *testing.T) {
	for _, test := range []struct {
		value  float64
		bound  bound
		target float64
		met    bool
	}{
		{2, atMost, 2, true}, {2.1, atMost, 2, false},
		{2, atLeast, 2, true}, {1.9, atLeast, 2, false},
		{2, exactly, 2, true}, {1, exactly, 2, false},
	} {
		if f := (figure{Value: test.value}).held(test.bound, test.target, ""); f.met() != test.met {
			t.Errorf("%v %s %v: met is %v", test.value, test.bound, test.target, f.met())
		}
	}
	if !(figure{Value: 5}).met() {
		t.Error("a figure without a target is missed")
	}
	if f := heldToCalls("", calls{Logins: 2, Reads: 19}, calls{Logins: 1, Reads: 20}, ""); f.met() {
		t.Error("as many calls, but others, are taken for those wanted")
	}
}

func TestSymbolsBelongToPackages(t *testing.T) {
	for symbol, want := range map[string]string{
		"runtime.mallocgc":                           "runtime",
		"net/http.(*Server).Serve":                   "net/http",
		"google.golang.org/grpc.NewServer":           "google.golang.org/grpc",
		"gopkg.in/yaml%2ev3.Unmarshal":               "gopkg.in/yaml.v3",
		"type:.eq.k8s.io/api/core/v1.Pod":            "k8s.io/api/core/v1",
		"go:itab.*os.File,io.Reader":                 "os",
		"slices.Grow[go.shape.[]uint8,go.shape.int]": "slices",
		"a.b/c.F[go.shape.struct { d.e/f.G }]":       "a.b/c",
	} {
		if got := packageOf(symbol); got != want {
			t.Errorf("%s is of %q, want %q", symbol, got, want)
		}
	}
}

func TestTableGoesBetweenTheMarksAndNowhereElse(t *testing.T) {
	page := "before\n" + beginMark + "\n\nold\n\n" + endMark + "\nafter\n"
	changed, err := between(page, "new\n")
	if want := "before\n" + beginMark + "\n\nnew\n\n" + endMark + "\nafter\n"; err != nil || changed != want {
		t.Errorf("got %q, %v", changed, err)
	}
	again, err := between(changed, "new\n")
	if err != nil || again != changed {
		t.Errorf("the second time: %q, %v", again, err)
	}
	if _, err := between("no marks", "new"); err == nil || !strings.Contains(err.Error(), beginMark) {
		t.Errorf("a page without marks: %v", err)
	}
}

func TestNumbersHaveThreeDigitsThatMatter(t *testing.T) {
	for value, want := range map[float64]string{0: "0", 0.1234: "0.123", 1.234: "1.23", 12.34: "12.3", 123.4: "123", 12345.6: "12,346", 2310: "2,310", 1234567: "1,234,567"} {
		if got := number(value); got != want {
			t.Errorf("%v is %q, want %q", value, got, want)
		}
	}
}

// published is what the last whole run has measured.
func published(t *testing.T) *result {
	t.Helper()
	encoded, err := os.ReadFile(filepath.Join("..", "..", "docs", "bench", "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	r := &result{}
	if err := json.Unmarshal(encoded, r); err != nil {
		t.Fatal(err)
	}
	return r
}

// Groups that are measured alone replace their figures in a run of the same machine and day.
func TestGroupsReplaceTheirFigures(t *testing.T) {
	dir := t.TempDir()
	whole := &result{Machine: machine{CPU: "c", Date: "2026-01-02", LoadBefore: 1}, Parts: []part{{Name: "p"}}, Figures: []figure{
		{Group: "a", What: "x", Value: 1}, {Group: "b", What: "x", Value: 2}, {Group: "b", What: "y", Value: 3},
	}}
	encoded, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "results.json"), encoded, 0o600); err != nil {
		t.Fatal(err)
	}
	again := &result{Machine: machine{CPU: "c", Date: "2026-01-02"}, Figures: []figure{{Group: "b", What: "x", Value: 4}, {Group: "b", What: "y", Value: 5}}}
	got, err := again.within(dir)
	if err != nil || len(got.Figures) != 3 || got.Figures[0].Value != 1 || got.Figures[1].Value != 4 || got.Figures[2].Value != 5 || len(got.Parts) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, other := range []*result{
		{Machine: machine{CPU: "c", Date: "2026-01-03"}, Figures: again.Figures},
		{Machine: machine{CPU: "d", Date: "2026-01-02"}, Figures: again.Figures},
		{Machine: again.Machine, Figures: []figure{{Group: "b", What: "z"}}},
	} {
		if _, err := other.within(dir); err == nil {
			t.Errorf("%+v is taken", other)
		}
	}
}

// TestGoldenPagesShowTheResults holds the tables and the plot to results.json:
// what one run has measured is what all of them show.
func TestGoldenPagesShowTheResults(t *testing.T) {
	pages := filepath.Join("..", "..")
	r := published(t)
	if os.Getenv("LANYARD_UPDATE_GOLDEN") != "" {
		if err := publish(options{out: filepath.Join(pages, "docs", "bench"), readme: filepath.Join(pages, "README.md")}, r); err != nil {
			t.Fatal(err)
		}
	}
	plot, err := drawPlot(r)
	if err != nil {
		t.Fatal(err)
	}
	read := func(path ...string) string {
		text, err := os.ReadFile(filepath.Join(append([]string{pages}, path...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if read("docs", "bench", "results.svg") != plot {
		t.Error("docs/bench/results.svg is not the plot of results.json")
	}
	for page, tables := range map[string]string{
		"docs/bench/README.md": markdown(r) + "\n" + markdownParts(r),
		"README.md":            markdownHeadlines(r),
	} {
		shown := read(page)
		if want, err := between(shown, tables); err != nil || shown != want {
			t.Errorf("%s does not show results.json (%v); make golden writes it", page, err)
		}
	}
	headlines := slices.DeleteFunc(r.Figures, func(f figure) bool { return f.Headline == "" })
	if len(headlines) != 6 {
		t.Errorf("README.md shows %d figures, want 6", len(headlines))
	}
}

// TestPlotCanBeReadWhateverIsMeasured draws figures with long numbers, and some
// that miss their target.
func TestPlotCanBeReadWhateverIsMeasured(t *testing.T) {
	r := published(t)
	for _, factor := range []float64{0.01, 1, 1.5, 40} {
		changed := &result{}
		for _, f := range r.Figures {
			f.Value *= factor
			changed.Figures = append(changed.Figures, f.held(f.Bound, f.Target, f.Rule))
		}
		plot, err := drawPlot(changed)
		if err != nil {
			t.Fatal(err)
		}
		if err := pictures.Check([]byte(plot)); err != nil {
			t.Errorf("all figures × %v: %v", factor, err)
		}
		if missed := strings.Contains(plot, `class="missing"`); missed != (factor != 1) {
			t.Errorf("all figures × %v: that some miss their target is shown: %v", factor, missed)
		}
	}
}
