package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// auditShare is what an audit file may take of the mounts in a second, in percent.
const auditShare = 5

// collector takes spans as fast as they come, and returns its URL and the function that ends it.
func collector() (url string, stop func()) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) //nolint:errcheck // the provider counts what it cannot send
	}))
	return s.URL + "/v1/traces", s.Close
}

// measureAudit measures repeat mounts with an audit file and without, 32 at a time, in
// short alternating blocks: records that mounts do not wait for, and a chain of records
// each of which is in the file before its mount is answered. The same with traces of a
// hundredth of the mounts and of all, to a service on this machine, whose work counts.
func measureAudit(ctx context.Context, l *lab) ([]figure, error) {
	const secrets, inFlight, block = 20, 32, 400 * time.Millisecond
	off, err := l.startPair(ctx, never, func() ([]*v1alpha1.MountRequest, error) {
		return l.requests("audit", 1, class(small, secrets))
	}, secrets)
	if err != nil {
		return nil, err
	}
	defer off.stop()
	collecting, stop := collector()
	defer stop()
	var figures []figure
	for _, kind := range []struct {
		what, settings string
		bounded        bool
	}{
		{"repeat mounts, 20 secrets, 32 in flight, with an audit file", "audit: {file: {path: DIR/audit.log}}", true},
		{"the same, audit.required", "audit: {file: {path: DIR/audit.log}, required: true}", true},
		{"the same with traces of 1 %, without an audit file", "tracing: {sampleRatio: 0.01, url: '" + collecting + "'}", true},
		{"the same with traces of all, without an audit file", "tracing: {url: '" + collecting + "'}", false},
	} {
		dir, err := l.newDir()
		if err != nil {
			return nil, err
		}
		on, err := l.startProvider(ctx, config(off.proxy.Address, never)+strings.ReplaceAll(kind.settings, "DIR", dir)+"\n")
		if err != nil {
			return nil, err
		}
		measured := map[*server][]float64{}
		run := func(s *server) func() error {
			return func() error {
				rate, err := s.rate(ctx, off.requests, secrets, inFlight, block)
				measured[s] = append(measured[s], rate)
				return err
			}
		}
		err = alternate(2, run(on), run(off.provider)) // warm
		clear(measured)
		if err == nil {
			err = alternate(l.samples(40), run(on), run(off.provider))
		}
		on.stop()
		if err != nil {
			return nil, err
		}
		with, without := summarize("mounts/s", measured[on]), summarize("mounts/s", measured[off.provider])
		f := figure{
			What: kind.what, Unit: "mounts/s", Value: with.P50,
			Samples: map[string]summary{"provider": with, "without": without},
			Note:    fmt.Sprintf("%.1f %% less than without, %.0f mounts/s", 100*(1-with.P50/without.P50), without.P50),
		}
		if kind.bounded {
			f = f.held(atLeast, without.P50*(100-auditShare)/100, fmt.Sprintf("without - %d %%", auditShare))
		}
		figures = append(figures, f)
	}
	return figures, nil
}
