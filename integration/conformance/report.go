package conformance

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// reportEnv names the directory for reports where Provider.ReportDir does not.
const reportEnv = "CSI_CONFORMANCE_REPORT"

// What became of a point.
const (
	Passed        = "pass"
	Failed        = "fail"
	NotApplicable = "not applicable"
)

// Report is what Run writes, as JSON.
type Report struct {
	// Name is the test's, or the provider's if there was no test.
	Name string `json:"name"`
	// Provider is the provider's name, Version the runtime version that it
	// tells the driver.
	Provider string `json:"provider"`
	Version  string `json:"version"`
	// Driver is the release of the driver that the points are of.
	Driver  string    `json:"driver"`
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"`
	// Passed, Failed and NotApplicable count the results.
	Passed        int      `json:"passed"`
	Failed        int      `json:"failed"`
	NotApplicable int      `json:"notApplicable"`
	Results       []Result `json:"results"`
}

// Result is what became of one point.
type Result struct {
	Point    string `json:"point"`
	Promise  string `json:"promise"`
	Optional bool   `json:"optional"`
	// Result is one of Passed, Failed and NotApplicable.
	Result string `json:"result"`
	// Detail is what was wrong, or the reason why the point does not apply.
	Detail  string  `json:"detail,omitempty"`
	Source  string  `json:"source"`
	Seconds float64 `json:"seconds"`
}

func newReport(name string, p Provider) *Report {
	return &Report{Name: name, Provider: p.Name, Driver: Driver, Started: time.Now().UTC()}
}

func resultOf(p Point) Result {
	return Result{Point: p.ID, Promise: p.Promise, Optional: p.Optional, Source: p.Source.String()}
}

func notApplicable(p Point, reason string) Result {
	r := resultOf(p)
	r.Result, r.Detail = NotApplicable, reason
	return r
}

func (r *Report) add(result Result) {
	r.Results = append(r.Results, result)
	switch result.Result {
	case Passed:
		r.Passed++
	case Failed:
		r.Failed++
	case NotApplicable:
		r.NotApplicable++
	}
}

func (r *Report) finish(version string) {
	r.Version, r.Seconds = version, time.Since(r.Started).Seconds()
}

// Fails are the IDs of the points that the provider does not keep.
func (r *Report) Fails() (ids []string) {
	for _, result := range r.Results {
		if result.Result == Failed {
			ids = append(ids, result.Point)
		}
	}
	return ids
}

// summary is for a test's log: the counts, and what did not apply and why.
func (r *Report) summary() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d points of driver %s: %d passed, %d failed, %d not applicable, in %.1f s", len(r.Results), r.Driver, r.Passed, r.Failed, r.NotApplicable, r.Seconds)
	for _, result := range r.Results {
		if result.Result == NotApplicable {
			fmt.Fprintf(&text, "\n%s not applicable: %s", result.Point, result.Detail)
		}
	}
	return text.String()
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// write writes the report as JSON and as JUnit XML into dir, or into the
// directory that the environment names, or not at all.
func (r *Report) write(dir string) error {
	if dir == "" {
		dir = os.Getenv(reportEnv)
	}
	if dir == "" {
		return nil
	}
	asJSON, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	asXML, err := xml.MarshalIndent(r.junit(), "", "  ")
	if err != nil {
		return err
	}
	base := filepath.Join(dir, notInNames.ReplaceAllString(r.Name, "-"))
	return errors.Join(
		os.MkdirAll(dir, 0o750),
		os.WriteFile(base+".json", append(asJSON, '\n'), 0o600),
		os.WriteFile(base+".junit.xml", append([]byte(xml.Header), append(asXML, '\n')...), 0o600),
	)
}
