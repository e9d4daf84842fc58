// Package conformance tells whether a provider keeps what it promises to the
// Secrets Store CSI driver (v1.6.0, protocol v1alpha1): how its socket is, what
// a mount answers, how failures are told, what rotation, many pods, restarts
// and outages do to it. Each promise is a numbered [Point] with its source in the
// driver and the reason why it matters; README.md lists them all.
//
// It calls a provider that runs, over its socket, with the driver's own client
// and file writer, and changes values in the store behind it. It knows nothing
// of any provider or store: a [Provider] describes the one under test. It never
// starts a cluster, and needs no kubelet.
//
// A provider's project writes one test, which calls [Run]; the example of [Run]
// shows it. Start reading with [Provider]. Programs that are no tests use [Check].
//
// # API promise
//
// This package and provider/seal are the two packages of the project that other
// programs may import. From the first release on, a change that breaks their
// callers needs a new major version. New points are added in minor versions, so
// that a provider may fail a newer suite; the ID of a point stays with its promise.
// Every other package may change at any time.
package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Driver is the release of the driver whose demands these are.
const Driver = "v1.6.0"

// Run checks every point, each that applies as a subtest of its own, and writes
// the report if p or the environment says where. The test fails with the points
// that the provider does not keep. The points run one after another, because
// some of them stop the provider; different providers may run in parallel.
func Run(t *testing.T, p Provider) {
	t.Helper()
	s, err := newSession(p)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	report := newReport(t.Name(), p)
	for _, point := range Points() {
		if reason := s.notApplicable(point); reason != "" {
			report.add(notApplicable(point, reason))
			continue
		}
		t.Run(point.ID, func(t *testing.T) {
			result := s.check(t.Context(), point)
			report.add(result)
			if result.Result == Failed {
				t.Errorf("%s\n%s\nsource: %s\nwhy: %s", point.Promise, result.Detail, point.Source, point.Why)
			}
		})
	}
	report.finish(s.version)
	t.Log(report.summary())
	if err := report.write(p.ReportDir); err != nil {
		t.Error(err)
	}
}

// Check checks every point and returns the report, which Run would write. The
// error says that the description p of the provider cannot be used; points that
// fail are in the report alone. When ctx ends the rest fail.
func Check(ctx context.Context, p Provider) (*Report, error) {
	s, err := newSession(p)
	if err != nil {
		return nil, err
	}
	defer s.close()
	report := newReport(p.Name, p)
	for _, point := range Points() {
		if reason := s.notApplicable(point); reason != "" {
			report.add(notApplicable(point, reason))
			continue
		}
		report.add(s.check(ctx, point))
	}
	report.finish(s.version)
	return report, nil
}

// notApplicable says why a point cannot be asked of the provider; nothing means
// that it can.
func (s *session) notApplicable(point Point) string {
	if reason, lacks := s.Lacks[point.ID]; lacks {
		return reason
	}
	for _, need := range point.needs {
		if reason := need(&s.Provider); reason != "" {
			return reason
		}
	}
	return ""
}

// check checks one point.
func (s *session) check(ctx context.Context, point Point) Result {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, pointTimeout)
	defer cancel()
	s.point = strings.ToLower(point.ID)
	result := resultOf(point)
	result.Result = Passed
	if err := point.check(ctx, s); err != nil {
		result.Result, result.Detail = Failed, err.Error()
	}
	result.Seconds = time.Since(start).Seconds()
	return result
}

// pointTimeout bounds one point. Most take milliseconds; an outage takes as
// long as the driver tries again.
const pointTimeout = 3 * time.Minute

// wrongs collects what a point finds wrong, so that all of it is told.
type wrongs []error

func (w *wrongs) add(format string, args ...any) { *w = append(*w, fmt.Errorf(format, args...)) }

func (w *wrongs) addErr(err error) {
	if err != nil {
		*w = append(*w, err)
	}
}

// maxWrongs is how many findings of one point are listed; more are counted.
const maxWrongs = 10

func (w wrongs) err() error {
	if len(w) > maxWrongs {
		return errors.Join(append(w[:maxWrongs:maxWrongs], fmt.Errorf("and %d more", len(w)-maxWrongs))...)
	}
	return errors.Join(w...)
}
