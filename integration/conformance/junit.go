package conformance

import (
	"encoding/xml"
	"fmt"
)

// junit is a report in the form that most CI systems show: one test suite, a
// case for each point.
// https://github.com/testmoapp/junitxml
type junit struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitMessage `xml:"failure,omitempty"`
	Skipped *junitMessage `xml:"skipped,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func (r *Report) junit() junit {
	out := junit{Name: r.Name, Tests: len(r.Results), Failures: r.Failed, Skipped: r.NotApplicable, Time: seconds(r.Seconds)}
	for _, result := range r.Results {
		one := junitCase{Class: r.Provider, Name: result.Point + " " + result.Promise, Time: seconds(result.Seconds)}
		switch result.Result {
		case Failed:
			one.Failure = &junitMessage{Message: result.Promise, Text: result.Detail}
		case NotApplicable:
			one.Skipped = &junitMessage{Message: result.Detail}
		}
		out.Cases = append(out.Cases, one)
	}
	return out
}

func seconds(s float64) string { return fmt.Sprintf("%.3f", s) }
